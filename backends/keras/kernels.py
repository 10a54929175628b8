"""The kernels by which a machine's rates are measured: TensorFlow's."""

from backends.engines.tensorflow.kernels import build

__all__ = ["build"]
