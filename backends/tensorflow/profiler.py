"""What the engine's profiler sees: TensorFlow's."""

from backends.engines.tensorflow.profiler import profile

__all__ = ["profile"]
