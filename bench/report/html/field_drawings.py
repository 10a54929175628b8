"""Drawings over two axes: lines, and the heat map, which is a table with coloured cells."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from markupsafe import Markup

from bench.report.figures.case_colours import choose_markers
from bench.report.figures.figure import HeatMap, Line, LinePlot
from bench.report.html.axis import Axis, draw_x_axis, fit_axis, format_tick
from bench.report.html.case_classes import choose_classes
from bench.report.html.svg_element import make_element, make_marker, make_text

#: Pixels: height of the plot, and space above and below.
HEIGHT, TOP, BOTTOM = 260, 14, 26
#: Steps of the colours of a heat map, the classes `heat-0` to `heat-6`.
HEAT_STEPS = 7
#: Pixels: width of a line, and what is added for each later line that coincides with it, so that all can be seen.
WIDTH, WIDER = 2.25, 2.5
#: Lines coincide if no point is farther apart than this share of the axis.
COINCIDING = 0.012
#: Dashes that lines of one colour have in turn.
DASHES = (None, "7 4", "2 4", "9 3 2 3")


def draw_line_plot(plot: LinePlot) -> Markup:
    """Draw the lines over their axes, and a legend above."""
    x, y = fit_axes(plot)
    cases = list(dict.fromkeys(line.case for line in plot.lines))
    classes, markers = choose_classes(cases), choose_markers(cases)
    grid, labels = [], []
    for tick in y.ticks():
        at = _place(y, tick)
        grid.append(make_element("line", x1=0, x2="100%", y1=at, y2=at, class_="grid"))
        text = f"{format_tick(tick)}{plot.y_unit}"
        labels.append(make_text(text, "100%", at + 4, text_anchor="end", class_="tick"))
    drawn, entries = [], []
    seen: dict[str, int] = {}
    for number, line in enumerate(plot.lines):
        width = WIDTH + WIDER * count_coinciding(plot, number)
        colour = classes[line.case]
        dash = DASHES[seen.get(colour, 0) % len(DASHES)]
        seen[colour] = seen.get(colour, 0) + 1
        drawn.append(_draw_line(line, x, y, colour, markers[line.case], dash, width))
        entries.append(_make_entry(line, colour, markers[line.case], dash))
    if plot.target is not None:
        at = _place(y, plot.target)
        drawn.append(make_element("line", x1=0, x2="100%", y1=at, y2=at, class_="target"))
        drawn.append(make_text(plot.target_label, "99%", at - 5, text_anchor="end", class_="tick"))
    height = TOP + HEIGHT + BOTTOM
    y_axis = make_element("svg", *labels, class_="y-axis", width="100%", height=height)
    bottom = draw_x_axis(x, TOP, TOP + HEIGHT)
    field = make_element("svg", *grid, bottom, *drawn, width="100%", height=height, class_="field")
    return Markup("").join(
        (
            make_element("ul", *entries, class_="legend"),
            make_element("div", plot.y_title, class_="y-title"),
            make_element("div", y_axis, field, class_="plot"),
            make_element("div", plot.x_title, class_="x-title"),
        )
    )


def fit_axes(plot: LinePlot) -> tuple[Axis, Axis]:
    """The axes that have all points, their intervals and the target on them."""
    points = [point for line in plot.lines for point in line.points]
    xs = [point.x for point in points]
    x = fit_axis(xs if len(set(xs)) > 1 else [0.0, *xs])
    ends = [end for point in points for end in (point.y, point.low, point.high) if end is not None]
    y = fit_axis([*ends, *([plot.target] if plot.target is not None else [])])
    return replace(x, whole=all(float(point.x).is_integer() for point in points)), y


def count_coinciding(plot: LinePlot, number: int) -> int:
    """Count the later lines that coincide with the line of this number, which would hide it."""
    x, y = fit_axes(plot)
    return sum(_coincide(plot.lines[number], other, x, y) for other in plot.lines[number + 1 :])


def draw_heat_map(plot: HeatMap) -> Markup:
    """Draw a table whose cells have a colour from the lowest value to the highest."""
    known = [value for row in plot.values for value in row if value is not None]
    low, span = min(known, default=0.0), (max(known, default=1.0) - min(known, default=0.0)) or 1.0
    corner = f"{plot.y_title} \\ {plot.x_title}"
    head = make_element("th", corner, scope="col", class_="corner")
    heads = [make_element("th", make_element("bdi", name), scope="col") for name in plot.columns]
    rows = [make_element("tr", head, *heads)]
    for r, (name, values, texts) in enumerate(zip(plot.rows, plot.values, plot.texts, strict=True)):
        cells = [make_element("th", make_element("bdi", name), scope="row")]
        for c, (value, text) in enumerate(zip(values, texts, strict=True)):
            step = "none" if value is None else str(min(HEAT_STEPS - 1, int(HEAT_STEPS * (value - low) / span)))
            best = plot.best == (r, c)
            shown = f"★ {text}" if best else text
            cells.append(make_element("td", shown, class_=f"heat-{step}{' best' if best else ''}"))
        rows.append(make_element("tr", *cells))
    steps = [make_element("i", "", class_=f"heat-{step} heat-step") for step in range(HEAT_STEPS)]
    legend = make_element(
        "div",
        f"{plot.value_title}: {format_tick(round(low, 4))} ",
        *steps,
        f" {format_tick(round(low + span, 4))}",
        class_="heat-legend",
    )
    return make_element("table", *rows, class_="heat") + legend


def _make_entry(line: Line, colour: str, marker: str, dash: str | None) -> Markup:
    """The line's entry of the legend: its marker, on a piece of the line."""
    piece = make_element("line", x1=0, x2=34, y1=9, y2=9, class_="line", stroke_dasharray=dash, stroke_width=WIDTH)
    sample = make_element("svg", piece, make_marker(marker, "17", 9, 5, class_="mark"), width=34, height=18)
    return make_element("li", sample, make_element("bdi", line.label or line.case), class_=colour)


def _draw_line(line: Line, x: Axis, y: Axis, colour: str, marker: str, dash: str | None, width: float) -> Markup:
    places = [(x.at(point.x), _place(y, point.y)) for point in line.points]
    parts = [
        make_element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_="line", stroke_dasharray=dash, stroke_width=width)
        for (x1, y1), (x2, y2) in pairwise(places)
    ]
    for place in line.breaks:
        at = x.at(place)
        parts.append(make_element("line", x1=at, x2=at, y1=TOP, y2=TOP + HEIGHT, class_="break"))
    for point, (at, height) in zip(line.points, places, strict=True):
        if point.low is not None and point.high is not None:
            ends = _place(y, point.low), _place(y, point.high)
            parts.append(make_element("line", x1=at, x2=at, y1=ends[0], y2=ends[1], class_="interval"))
        if len(places) <= 30:
            parts.append(make_marker(marker, at, height, 3.0 + 0.7 * width, class_="mark"))
    return make_element("g", make_element("title", line.label or line.case), *parts, class_=colour)


def _coincide(one: Line, other: Line, x: Axis, y: Axis) -> bool:
    pairs = zip(one.points, other.points, strict=False)
    near = (abs(x.share(a.x) - x.share(b.x)) + abs(y.share(a.y) - y.share(b.y)) for a, b in pairs)
    return len(one.points) == len(other.points) and all(distance <= COINCIDING for distance in near)


def _place(axis: Axis, value: float) -> float:
    return TOP + HEIGHT * (1 - axis.share(value))
