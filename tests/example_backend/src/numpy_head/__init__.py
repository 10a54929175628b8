"""A backend for Head-to-Head: PyTorch computes the frozen features, NumPy trains the head."""
