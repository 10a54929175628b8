"""The kernels by which a machine's rates are measured: JAX's."""

from backends.engines.jax.kernels import build

__all__ = ["build"]
