"""What is kept of a run: records, baselines, and the files that they stand in."""
