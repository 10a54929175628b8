"""A target, what was measured, and whether it was reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scipy import stats

from bench.analysis.statistics import Interval, ratio_interval


@dataclass(frozen=True)
class Target:
    """One row of the table.

    Attributes:
        least, most: the bounds that the estimate has to keep to, themselves allowed; None where there is none.
        style: how figures are written (a format specification).
        note: what else a reader should know.
        broken: a condition that is no figure and was not met.
    """

    name: str
    measured: Interval
    least: float | None = None
    most: float | None = None
    style: str = ".3f"
    note: str = ""
    broken: bool = False

    @property
    def reached(self) -> bool:
        """Whether the estimate keeps to the bounds."""
        return not self.broken and self._keeps(self.measured.estimate)

    @property
    def certain(self) -> bool:
        """Whether the whole interval lies on the estimate's side of every bound."""
        if self.measured.low is None or self.measured.high is None:
            return False
        bounds = [bound for bound in (self.least, self.most) if bound is not None]
        return not any(self.measured.low < bound < self.measured.high for bound in bounds)

    @property
    def verdict(self) -> str:
        """In words."""
        certainty = "" if self.certain or self.broken else ", not certain"
        if self.least is None and self.most is None and not self.broken:
            return "no target"
        return f"{'reached' if self.reached else 'missed'}{certainty}"

    @property
    def row(self) -> tuple[str, ...]:
        """Name, measured, interval, wanted and verdict."""
        low, high = self.measured.low, self.measured.high
        interval = "none" if low is None or high is None else f"{low:{self.style}} to {high:{self.style}}"
        figure = f"{self.measured.estimate:{self.style}}"
        return self.name, figure, interval, self._wanted, self.verdict

    @property
    def _wanted(self) -> str:
        least, most = (None if b is None else f"{b:{self.style}}" for b in (self.least, self.most))
        if least and most:
            return f"{least} to {most}"
        if least is None and most is None:
            return "–"
        return f"≥ {least}" if least else f"≤ {most}"

    def _keeps(self, value: float) -> bool:
        above = self.least is None or value >= self.least
        return above and (self.most is None or value <= self.most)


def of_ratios(name: str, ys: Sequence[float], **bounds: float | str | None) -> Target:
    """A target for a ratio, from its logarithms: one a launch, or one a launch pair."""
    return Target(name, ratio_interval(ys), **bounds)  # type: ignore[arg-type]


def counted(name: str, happened: Sequence[bool], **bounds: float | str | None) -> Target:
    """A target for how often something happens, with the exact binomial interval (Clopper & Pearson 1934)."""
    test = stats.binomtest(sum(happened), len(happened))
    low, high = test.proportion_ci(0.95, method="exact")
    note = f"{sum(happened)} of {bounds.pop('note', None) or len(happened)}"
    return Target(name, Interval(sum(happened) / len(happened), low, high), style=".1%", note=note, **bounds)  # type: ignore[arg-type]


def spanned(values: Sequence[float]) -> Interval:
    """The median, and from the smallest to the largest: for a few values of no known distribution."""
    several = len(values) > 1
    return Interval(median(values), min(values) if several else None, max(values) if several else None)
