"""Arithmetic that stands in for keras-torch."""

from tests.bench.arithmetic import Arithmetic

BACKEND = Arithmetic("keras-torch")
