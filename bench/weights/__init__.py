"""Checkpoints: the backbone's starting weights."""
