"""Networks as a neutral graph: exported once from PyTorch, built by each engine with its own operations."""
