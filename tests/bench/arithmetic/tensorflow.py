"""Arithmetic that stands in for tensorflow."""

from tests.bench.arithmetic import Arithmetic

BACKEND = Arithmetic("tensorflow")
