"""The kinds of figures, as data."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analysis.statistics import Interval


@dataclass(frozen=True)
class ForestRow:
    """A row of a forest plot.

    Attributes:
        case: `backend/variant`, which the colour comes from.
        interval: the estimate and its ends; None where there is none, as of a case that is not comparable.
        text: the figure as tables show it, or why there is none.
        label: what stands at the row; the case by default.
        certain: whether the difference from the line is certain: the marker is filled.
        note: a line below, as a warning that concerns this row.
    """

    case: str
    interval: Interval | None
    text: str
    label: str = ""
    certain: bool = True
    note: str = ""


@dataclass(frozen=True)
class ForestPlot:
    """Estimates with their intervals, one below the other, and a line that they are compared with.

    Attributes:
        line: where the line is; None for none.
        logarithmic: whether the axis is: for ratios, so that twice and half are equally far from 1.
    """

    title: str
    how_to_read: str
    x_title: str
    rows: tuple[ForestRow, ...]
    line: float | None = 1.0
    logarithmic: bool = True


@dataclass(frozen=True)
class DotGroup:
    """Values that belong together, as the rounds of a launch, and their centre."""

    name: str
    values: tuple[float, ...]
    centre: float


@dataclass(frozen=True)
class DotRow:
    """The groups of values of a case, with the estimate of all of them."""

    case: str
    groups: tuple[DotGroup, ...]
    interval: Interval | None
    text: str
    label: str = ""


@dataclass(frozen=True)
class DotPlot:
    """Every value as a dot, by case and group. `omitted` is the number of values that are not drawn."""

    title: str
    how_to_read: str
    x_title: str
    rows: tuple[DotRow, ...]
    omitted: int = 0


@dataclass(frozen=True)
class StackedBar:
    """A bar of a stack: a value per part, 0 where a part is absent; `text` stands at its end."""

    case: str
    values: tuple[float, ...]
    text: str
    label: str = ""


@dataclass(frozen=True)
class StackedBars:
    """Bars that consist of the same parts."""

    title: str
    how_to_read: str
    x_title: str
    parts: tuple[str, ...]
    rows: tuple[StackedBar, ...]


@dataclass(frozen=True)
class Bar:
    """A bar of a group; `mark` is a second value, drawn as a tick, as of memory at the end of a phase."""

    case: str
    value: float
    text: str
    mark: float | None = None
    label: str = ""


@dataclass(frozen=True)
class BarGroup:
    """The bars of all cases for one thing, as a phase."""

    label: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class GroupedBars:
    """Groups of bars that start at 0."""

    title: str
    how_to_read: str
    x_title: str
    groups: tuple[BarGroup, ...]


@dataclass(frozen=True)
class Point:
    """A point of a line; `low` and `high` are the ends of the interval of `y`, None without one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Line:
    """A line, drawn through its points; one point is a marker.

    `breaks` are the places on the x axis where its level changes: there, a dashed line of its colour goes from top to
    bottom.
    """

    case: str
    points: tuple[Point, ...]
    label: str = ""
    breaks: tuple[float, ...] = ()


@dataclass(frozen=True)
class LinePlot:
    """Lines over a common axis.

    Attributes:
        target: a value of y that is drawn as a line across; None for none.
        target_label: what it is.
        y_unit: follows the figures of the y axis, as ` %`.
    """

    title: str
    how_to_read: str
    x_title: str
    y_title: str
    lines: tuple[Line, ...]
    target: float | None = None
    target_label: str = ""
    y_unit: str = ""


@dataclass(frozen=True)
class HeatMap:
    """A value for every combination of two fields.

    Attributes:
        columns, rows: the values of the two fields, as text.
        values: by row and column; None where nothing was measured.
        texts: what stands in the cells.
        x_title, y_title: the names of the fields; value_title: what the values are, with its unit.
        best: row and column of the cell to mark; None for none.
    """

    title: str
    how_to_read: str
    x_title: str
    y_title: str
    value_title: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    texts: tuple[tuple[str, ...], ...]
    best: tuple[int, int] | None = None


@dataclass(frozen=True)
class WaterfallStep:
    """A step of a waterfall, from `start` to `end`; a total starts at 0.

    `interval` is that of `end`; `text` stands at the bar.
    """

    label: str
    start: float
    end: float
    text: str
    interval: Interval | None = None
    total: bool = False


@dataclass(frozen=True)
class Waterfall:
    """How a first value becomes a last one, step by step."""

    title: str
    how_to_read: str
    x_title: str
    steps: tuple[WaterfallStep, ...]


Figure = ForestPlot | DotPlot | StackedBars | GroupedBars | LinePlot | HeatMap | Waterfall
