"""Figures of gated metrics as people read them."""

from __future__ import annotations

from bench.analysis.statistics import Interval
from bench.records.units import MB


def choose_unit(name: str) -> str:
    """The unit of a metric's figures in tables."""
    return "MB" if name.endswith("memory") else "ms"


def format_figure(name: str, value: Interval) -> str:
    """A metric's figure in its unit, with its interval."""
    scale = MB if choose_unit(name) == "MB" else 1e-3
    interval = f" [{value.low / scale:,.2f}–{value.high / scale:,.2f}]" if value.low and value.high else ""
    return f"{value.estimate / scale:,.2f}{interval}"
