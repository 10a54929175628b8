"""Files that a run leaves: records, baselines, and their formats."""
