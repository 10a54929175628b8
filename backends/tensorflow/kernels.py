"""Single operations, to measure the machine's rates by: TensorFlow's."""

from backends.engines.tensorflow.kernels import build

__all__ = ["build"]
