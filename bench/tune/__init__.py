"""Tuning: the search for the knobs that make a backend's training step fastest on this machine."""
