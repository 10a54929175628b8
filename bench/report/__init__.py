"""Reports of a run: its tables, and the formats that they are shown and written in."""
