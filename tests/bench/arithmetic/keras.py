"""Arithmetic that stands in for keras."""

from tests.bench.arithmetic import Arithmetic

BACKEND = Arithmetic("keras")
