"""Arithmetic that stands in for keras-jax."""

from tests.bench.arithmetic import Arithmetic

BACKEND = Arithmetic("keras-jax")
