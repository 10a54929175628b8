"""The machine: its hardware and software, its memory, and its load while rounds run."""
