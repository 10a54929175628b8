"""The largest batch that fits in memory, for each case: found by trials, each in a process of its own."""
