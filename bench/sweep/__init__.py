"""The sweep: one task over every combination of some fields' values, each fine-tuned once, by every backend."""
