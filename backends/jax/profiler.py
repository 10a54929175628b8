"""Profiles by JAX's own profiler."""

from backends.engines.jax.profiler import profile

__all__ = ["profile"]
