"""The fine-tune in PyTorch, as its tutorials write it: torchvision's or timm's model, `no_grad`, DataLoader."""

from backends.pytorch.trainer import PyTorch

BACKEND = PyTorch()
