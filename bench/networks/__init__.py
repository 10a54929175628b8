"""Networks that are exported from PyTorch as a neutral graph."""
