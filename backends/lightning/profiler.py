"""Profiles by torch.profiler."""

from backends.engines.torch.profiler import profile

__all__ = ["profile"]
