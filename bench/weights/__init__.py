"""Checkpoints, the weights that training starts from: obtained, converted, drawn, read and written."""
