"""Formats of rates and ratios with their intervals in tables."""

from __future__ import annotations

from collections.abc import Callable

from bench.analysis.launches import CaseLaunches, Kind
from bench.analysis.statistics import Interval

#: Stands where a verdict would need more launches.
TOO_FEW_LAUNCHES = "not enough launches to tell"


def format_interval(interval: Interval, text: Callable[[float], str]) -> str:
    """Format an estimate and its interval, as in `1.25 [1.20–1.31]`; without an interval, the estimate alone."""
    if interval.low is None or interval.high is None:
        return text(interval.estimate)
    return f"{text(interval.estimate)} [{text(interval.low)}–{text(interval.high)}]"


def format_rate(case: CaseLaunches, kind: Kind) -> str:
    """Format the images per second of a case, or the placeholder where they were not measured."""
    throughput = case.throughput(kind)
    if throughput is None:
        return case.placeholder
    digits = 0 if throughput.estimate >= 100 else 1 if throughput.estimate >= 10 else 2
    return format_interval(throughput, lambda value: f"{value:,.{digits}f}")


def format_ratio(ratio: Interval, certain: bool) -> str:
    """Format a ratio of two cases with its interval; without a difference, or with too few launches, say so.

    Args:
        ratio: of the two cases' throughputs.
        certain: whether the difference of the two cases is certain.
    """
    digits = 3 if ratio.estimate < 2 else 2 if ratio.estimate < 10 else 1
    if ratio.low is None or ratio.high is None:
        return f"{ratio.estimate:.{digits}f} ({TOO_FEW_LAUNCHES})"
    if not ratio.excludes(1):
        distance = 100 * max(ratio.high - 1, 1 - ratio.low)
        return f"no difference found (± {f'{distance:.2g}' if distance < 100 else f'{distance:,.0f}'} %)"
    text = f"{ratio.estimate:.{digits}f} [{ratio.low:.{digits}f}–{ratio.high:.{digits}f}]"
    return text if certain else f"{text}, not certain"


def explain_unknown_lead(ratio: Interval) -> str | None:
    """Explain why it cannot be said which of two cases is faster; None if it can."""
    if ratio.low is None:
        return TOO_FEW_LAUNCHES
    return None if ratio.excludes(1) else "no difference in speed found"
