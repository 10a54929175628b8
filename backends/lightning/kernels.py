"""The kernels by which a machine's rates are measured: PyTorch's."""

from functools import partial

from backends.engines.torch import kernels

__all__ = ["build"]

build = partial(kernels.build, backend="lightning")
