"""Measuring: start workers, interleave their rounds, build records, resume runs."""
