"""Axes of drawings: from figures to per cent of the width, or pixels, and round figures for the ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from bench.report.html.svg_element import make_element, make_text

#: Per cent of the width that are left free on each side, so that markers and tick labels are not cut off.
MARGIN = 2.5
MOST_TICKS = 6


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`; `whole`: its ticks are whole numbers."""

    low: float
    high: float
    logarithmic: bool = False
    whole: bool = False

    def share(self, value: float) -> float:
        """Where a figure is, 0 at the low end and 1 at the high one; what lies beyond an end is at it."""
        low, high, at = (math.log(v) if self.logarithmic else v for v in (self.low, self.high, self._clip(value)))
        return (at - low) / (high - low)

    def place(self, value: float) -> float:
        """Where a figure is, in per cent of the width."""
        return MARGIN + (100 - 2 * MARGIN) * self.share(value)

    def at(self, value: float) -> str:
        """The place as an attribute, `42.13%`."""
        return f"{self.place(value):.2f}%"

    def ticks(self) -> list[float]:
        """Round figures on the axis."""
        if self.logarithmic:
            return _choose_logarithmic_ticks(self.low, self.high)
        ticks = [tick for tick in _list_multiples(self.low, self.high) if self.low <= tick <= self.high]
        return [tick for tick in ticks if not self.whole or tick.is_integer()]

    def _clip(self, value: float) -> float:
        return min(max(value, self.low), self.high)


def fit_axis(values: Iterable[float], *, zero: bool = False, logarithmic: bool = False) -> Axis:
    """The axis that has all values on it, with some space beyond them.

    Args:
        values: at least none: without any, the axis goes from 0 to 1, or from 0.5 to 2.
        zero: whether the axis starts at 0.
        logarithmic: whether it is logarithmic; then values are above 0.
    """
    known = [value for value in values if math.isfinite(value) and (value > 0 or not logarithmic)]
    if not known:
        return Axis(0.5, 2.0, True) if logarithmic else Axis(0.0, 1.0)
    low, high = min(known), max(known)
    if logarithmic:
        space = max(1.02, (high / low) ** 0.06)
        return Axis(low / space, high * space, True)
    if zero:
        return Axis(min(0.0, low), (high or 1.0) * 1.02)
    space = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return Axis(low - space, high + space)


def format_tick(value: float) -> str:
    """A round figure as text: `1,000`, `0.25`, `5e+09`."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.6g}"


def draw_x_axis(axis: Axis, top: float, bottom: float) -> Markup:
    """Draw the grid from `top` to `bottom` with the figures of the ticks below it; every other hides on a phone."""
    parts = []
    for number, tick in enumerate(axis.ticks()):
        at = axis.at(tick)
        parts.append(make_element("line", x1=at, x2=at, y1=top, y2=bottom, class_="grid"))
        small = " wide" if number % 2 else ""
        parts.append(make_text(format_tick(tick), at, bottom + 16, class_=f"tick{small}", text_anchor="middle"))
    return Markup("").join(parts)


def _list_multiples(low: float, high: float) -> list[float]:
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / MOST_TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if span / (power * factor) <= MOST_TICKS)
    return [float(f"{i * step:.12g}") for i in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _choose_logarithmic_ticks(low: float, high: float) -> list[float]:
    # Below, the first figures per decade would be two ticks or none.
    if high / low < 2.5:
        return [tick for tick in _list_multiples(low, high) if low <= tick <= high]
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for factors in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{f * 10.0**d:.12g}") for d in decades for f in factors if low <= f * 10.0**d <= high]
        if len(ticks) <= MOST_TICKS + 1:
            return ticks
    return ticks[:: math.ceil(len(ticks) / MOST_TICKS)]
