"""Arithmetic that stands in for lightning."""

from tests.bench.arithmetic import Arithmetic

BACKEND = Arithmetic("lightning")
