"""Arithmetic that stands in for pytorch."""

from tests.bench.arithmetic import Arithmetic

BACKEND = Arithmetic("pytorch")
