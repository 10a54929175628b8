"""What all backends on PyTorch share."""
