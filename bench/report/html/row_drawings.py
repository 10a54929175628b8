"""Drawings that consist of rows: a name and a figure as text, which wraps on a phone, above the marks of the row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from bench.analysis.statistics import Interval
from bench.report.figures.case_colours import choose_markers
from bench.report.figures.figure import DotPlot, DotRow, ForestPlot, GroupedBars, StackedBars, Waterfall
from bench.report.html.axis import Axis, draw_x_axis, fit_axis, format_tick
from bench.report.html.case_classes import choose_classes, choose_part_class
from bench.report.html.svg_element import make_element, make_marker

#: Heights in pixels: of a row's marks, and of a line of dots.
MARKS = 26
DOTS = 9
#: Share of the axis from which a part of a bar has its figure within it, and one that has it on a phone, too.
WIDE_PART, WIDER_PART = 0.055, 0.16


def draw_forest_plot(plot: ForestPlot) -> Markup:
    """Draw a row per estimate, and the line that they are compared with."""
    axis = fit_axis(list_forest_ends(plot), logarithmic=plot.logarithmic)
    classes, markers = _choose_looks(row.case for row in plot.rows)
    rows = []
    for row in plot.rows:
        marks = Markup("")
        if row.interval:
            marks = _draw_interval(axis, row.interval, MARKS / 2, 2.5)
            marker = make_marker(
                markers[row.case],
                axis.at(row.interval.estimate),
                MARKS / 2,
                6.0,
                class_="mark" if row.certain else "mark open",
            )
            marks += marker
        drawn = _make_marks(marks, MARKS) if row.interval else Markup("")
        rows.append(_make_row(row.label or row.case, row.text, classes[row.case], drawn, row.note))
    if not any(row.interval for row in plot.rows):
        return _make_rows(rows)
    return _make_rows(rows, axis, plot.line, plot.x_title)


def draw_dot_plot(plot: DotPlot) -> Markup:
    """Draw a row per case: a line of dots per group, and the interval of all of them below."""
    axis = fit_axis(list_dot_ends(plot))
    classes, markers = _choose_looks(row.case for row in plot.rows)
    rows = [
        _make_row(row.label or row.case, row.text, classes[row.case], _draw_dots(row, axis, markers[row.case]))
        for row in plot.rows
    ]
    return _make_rows(rows, axis, None, plot.x_title)


def draw_stacked_bars(figure: StackedBars) -> Markup:
    """Draw a bar per case that consists of its parts, with a legend."""
    axis = fit_axis([0.0, *(sum(row.values) for row in figure.rows)], zero=True)
    classes, _ = _choose_looks(row.case for row in figure.rows)
    rows = []
    for row in figure.rows:
        marks, at = [], 0.0
        for number, (name, value) in enumerate(zip(figure.parts, row.values, strict=True)):
            if value <= 0:
                continue
            start, end = axis.place(at), axis.place(at + value)
            title = make_element("title", f"{row.label or row.case}: {name} {value:,.2f} {figure.x_title}")
            box = make_element(
                "rect", title, x=f"{start:.2f}%", width=f"{end - start:.2f}%", y=2, height=22, class_="piece"
            )
            marks.append(make_element("g", box, class_=choose_part_class(number)))
            if (share := (end - start) / 100) >= WIDE_PART:
                narrow = "" if share >= WIDER_PART else " wide"
                x = f"{(start + end) / 2:.2f}%"
                text = make_element("text", _shorten(value), x=x, y=17, text_anchor="middle", class_=f"in-part{narrow}")
                marks.append(text)
            at += value
        drawn = _make_marks(Markup("").join(marks), MARKS)
        rows.append(_make_row(row.label or row.case, row.text, classes[row.case], drawn))
    legend = _make_legend((name, choose_part_class(number)) for number, name in enumerate(figure.parts))
    return legend + _make_rows(rows, axis, None, figure.x_title)


def draw_grouped_bars(figure: GroupedBars) -> Markup:
    """Draw a group of bars after the other; every bar has its name before it and its figure after it."""
    bars = [bar for group in figure.groups for bar in group.bars]
    most = max((max(bar.value, bar.mark or 0.0) for bar in bars), default=1.0) or 1.0
    classes, _ = _choose_looks(bar.case for bar in bars)
    parts = []
    for group in figure.groups:
        parts.append(make_element("div", group.label, class_="group"))
        for bar in group.bars:
            marks = [make_element("rect", x=0, y=3, height=11, width=f"{100 * bar.value / most:.2f}%", class_="mark")]
            if bar.mark is not None:
                at = f"{100 * bar.mark / most:.2f}%"
                marks.append(make_element("line", x1=at, x2=at, y1=1, y2=16, class_="tick-mark"))
            name = make_element("span", make_element("bdi", bar.label or bar.case), class_="bar-name")
            drawing = make_element("svg", *marks, width="100%", height=17)
            parts.append(
                make_element("div", name, drawing, make_element("span", bar.text), class_=f"bar {classes[bar.case]}")
            )
    parts.append(make_element("div", figure.x_title, class_="x-title"))
    return make_element("div", *parts, class_="bars")


def draw_waterfall(plot: Waterfall) -> Markup:
    """Draw a row per step, from where the one before it ended."""
    ends = [end for step in plot.steps for end in (step.start, step.end, *_list_interval_ends(step.interval))]
    axis = fit_axis([0.0, *ends], zero=True)
    rows = []
    for step in plot.steps:
        low, high = sorted((axis.place(step.start), axis.place(step.end)))
        box = make_element("rect", x=f"{low:.2f}%", width=f"{max(high - low, 0.3):.2f}%", y=4, height=18, class_="mark")
        marks = box + (_draw_interval(axis, step.interval, MARKS / 2, 1.5, "whisker") if step.interval else Markup(""))
        name = "total" if step.total else "better" if step.end >= step.start else "worse"
        rows.append(_make_row(step.label, step.text, name, _make_marks(marks, MARKS)))
    return _make_rows(rows, axis, None, plot.x_title)


def _draw_dots(row: DotRow, axis: Axis, marker: str) -> Markup:
    if not row.groups:
        return Markup("")
    parts = []
    for number, group in enumerate(row.groups):
        y = DOTS * (number + 0.5) + 2
        dots = [make_element("circle", cx=f"{axis.place(value):.1f}%", cy=y, r=2.5) for value in group.values]
        at = axis.at(group.centre)
        tick = make_element("line", x1=at, x2=at, y1=y - 4, y2=y + 4)
        parts.append(make_element("g", make_element("title", group.name), *dots, tick, class_="dots"))
    y = DOTS * len(row.groups) + 14
    if row.interval:
        parts.append(_draw_interval(axis, row.interval, y, 2.5))
        parts.append(make_marker(marker, axis.at(row.interval.estimate), y, 5.5, class_="mark"))
    return _make_marks(Markup("").join(parts), y + 10)


def _draw_interval(axis: Axis, interval: Interval, y: float, width: float, class_: str = "interval") -> Markup:
    if interval.low is None or interval.high is None:
        return Markup("")
    low, high = axis.at(interval.low), axis.at(interval.high)
    parts = [make_element("line", x1=low, x2=high, y1=y, y2=y, stroke_width=width)]
    # An end that is on the axis has a cap; one beyond it has none.
    for value, at in ((interval.low, low), (interval.high, high)):
        if axis.low <= value <= axis.high:
            parts.append(make_element("line", x1=at, x2=at, y1=y - 5, y2=y + 5, stroke_width=1.5))
    return make_element("g", *parts, class_=class_)


def is_cut_off(plot: ForestPlot | DotPlot) -> bool:
    """Whether an interval of the plot reaches beyond its axis."""
    if isinstance(plot, ForestPlot):
        axis = fit_axis(list_forest_ends(plot), logarithmic=plot.logarithmic)
    else:
        axis = fit_axis(list_dot_ends(plot))
    ends = [end for row in plot.rows for end in _list_interval_ends(row.interval)]
    return any(not axis.low <= end <= axis.high for end in ends)


def list_forest_ends(plot: ForestPlot) -> list[float]:
    """What the axis has to show: the line, the estimates, and the ends of intervals that are not far beyond them."""
    intervals = [row.interval for row in plot.rows if row.interval]
    near = [interval.estimate for interval in intervals]
    near += [plot.line] if plot.line is not None else []
    ends = [end for interval in intervals for end in _list_interval_ends(interval)]
    if not plot.logarithmic:
        return [*near, *_keep_near(ends, near)]
    # An interval of few launches can reach from a thousandth to a thousandfold: it would press all others together.
    low, high = min(near, default=1.0) / 8, max(near, default=1.0) * 8
    return [*near, *(min(max(end, low), high) for end in ends)]


def list_dot_ends(plot: DotPlot) -> list[float]:
    """What the axis has to show: all values, and the ends of intervals that are not far beyond them."""
    values = [value for row in plot.rows for group in row.groups for value in group.values]
    ends = [end for row in plot.rows if row.interval for end in _list_interval_ends(row.interval)]
    return [*values, *_keep_near(ends, values)]


def _keep_near(ends: Sequence[float], values: Sequence[float]) -> list[float]:
    """The ends, brought to at most the values' span beyond them."""
    if not values:
        return list(ends)
    low, high = min(values), max(values)
    span = (high - low) or 0.5 * abs(high) or 1.0
    return [min(max(end, low - span), high + span) for end in ends]


def _list_interval_ends(interval: Interval | None) -> list[float]:
    return [] if interval is None or interval.low is None or interval.high is None else [interval.low, interval.high]


def _choose_looks(cases: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    names = list(dict.fromkeys(cases))
    return choose_classes(names), choose_markers(names)


def _make_marks(marks: Markup, height: float) -> Markup:
    return make_element("svg", marks, width="100%", height=round(height), class_="marks")


def _make_row(name: str, text: str, class_: str, marks: Markup, note: str = "") -> Markup:
    swatch = make_element("i", "", class_="swatch")
    label = make_element("span", swatch, make_element("bdi", name), class_="name")
    value = make_element("span", text, class_="value")
    parts = [make_element("div", label, value, class_="row-text"), marks]
    if note:
        parts.append(make_element("div", note, class_="row-note"))
    return make_element("div", *parts, class_=f"row {class_}")


def _make_rows(rows: list[Markup], axis: Axis | None = None, line: float | None = None, x_title: str = "") -> Markup:
    """Put rows above an axis, whose grid goes through behind all of them."""
    if axis is None:
        return make_element("div", *rows, class_="rows")
    grid = [make_element("line", x1=axis.at(t), x2=axis.at(t), y1=0, y2="100%", class_="grid") for t in axis.ticks()]
    if line is not None:
        at = axis.at(line)
        grid.append(make_element("line", x1=at, x2=at, y1=0, y2="100%", class_="reference-line"))
    behind = make_element("svg", *grid, width="100%", height="100%", class_="behind")
    below = make_element("svg", draw_x_axis(axis, 0, 5), width="100%", height=26, class_="x-axis")
    return make_element("div", behind, *rows, class_="rows") + below + make_element("div", x_title, class_="x-title")


def _make_legend(entries: Iterable[tuple[str, str]]) -> Markup:
    items = [
        make_element("li", make_element("i", "", class_="swatch"), make_element("bdi", name), class_=class_)
        for name, class_ in entries
    ]
    return make_element("ul", *items, class_="legend")


def _shorten(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 1 else format_tick(round(value, 2))
