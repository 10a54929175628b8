"""Profiles by TensorFlow's own profiler."""

from backends.engines.tensorflow.profiler import profile

__all__ = ["profile"]
