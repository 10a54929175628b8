"""The sweep: every combination of values of a task's fields is fine-tuned once by every backend."""
