"""Arithmetic that stands in for jax."""

from tests.bench.arithmetic import Arithmetic

BACKEND = Arithmetic("jax")
