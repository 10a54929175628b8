"""The task's recipe: PyTorch's optimizer and scheduler."""

from backends.pytorch.optimizer import make_optimizer, make_scheduler

__all__ = ["make_optimizer", "make_scheduler"]
