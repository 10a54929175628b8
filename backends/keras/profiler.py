"""What the engine's profiler sees: TensorFlow's."""

from backends.tensorflow.profiler import profile

__all__ = ["profile"]
