"""Figures with their intervals, as the tables write them."""

from __future__ import annotations

from collections.abc import Callable

from bench.analysis.launches import CaseLaunches, Kind
from bench.analysis.statistics import Interval


def with_interval(interval: Interval, text: Callable[[float], str]) -> str:
    """`1.25 [1.20–1.31]`; the figure alone where it has no interval."""
    if interval.low is None or interval.high is None:
        return text(interval.estimate)
    return f"{text(interval.estimate)} [{text(interval.low)}–{text(interval.high)}]"


def rate(case: CaseLaunches, kind: Kind) -> str:
    """Images per second of a case, or what a table says in their place."""
    found = case.throughput(kind)
    if found is None:
        return case.absence
    digits = 0 if found.estimate >= 100 else 1 if found.estimate >= 10 else 2
    return with_interval(found, lambda value: f"{value:,.{digits}f}")


def times(compared: Interval, differ: bool) -> str:
    """How many times as fast a case is, or that no difference was found.

    Args:
        compared: the ratio.
        differ: whether the two cases differ for certain.
    """
    digits = 3 if compared.estimate < 2 else 2 if compared.estimate < 10 else 1
    if compared.low is None or compared.high is None:
        return f"{compared.estimate:.{digits}f} (one launch: no interval)"
    if not compared.excludes(1):
        reach = 100 * max(compared.high - 1, 1 - compared.low)
        return f"no difference found (± {f'{reach:.2g}' if reach < 100 else f'{reach:,.0f}'} %)"
    found = f"{compared.estimate:.{digits}f} [{compared.low:.{digits}f}–{compared.high:.{digits}f}]"
    return found if differ else f"{found}, not certain"
