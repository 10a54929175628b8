"""The task's recipe: PyTorch's optimizer and scheduler."""

from backends.pytorch.optimizer import Updates, make_optimizer, make_scheduler

__all__ = ["Updates", "make_optimizer", "make_scheduler"]
