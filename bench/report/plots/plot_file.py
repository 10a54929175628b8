"""The file of a plot: a figure with its title, its sentence and a line about where it was measured."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.records.store import write_bytes
from bench.report.figures.figure import (
    DotPlot,
    Figure,
    ForestPlot,
    GroupedBars,
    HeatMap,
    LinePlot,
    StackedBars,
    Waterfall,
)
from bench.report.html.drawings import explain_figure
from bench.report.html.page import Block, Folded, Page, When
from bench.report.html.visible_text import make_visible
from bench.report.plots import field_plots, row_plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 160
#: Inches: the width of a plot, the height of a line of small text, and the space above the axes.
WIDTH, SMALL_LINE, HEAD = 9.0, 0.17, 0.5
#: Inches: the height of a line of a row's text.
TEXT_LINE = 0.16
#: Characters of small text in a line.
LINE_LENGTH = 150
#: Characters of a title.
MAX_TITLE_LENGTH = 110
#: Longest name of a file, without its suffix.
MAX_NAME_LENGTH = 60
#: A name with `$` is no formula; the same figure gives the same bytes.
SETTINGS: Any = {
    "text.parse_math": False,
    "svg.hashsalt": "bench",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
METADATA: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None, "Creator": "bench"},
    ".png": {"Software": "bench"},
    ".pdf": {"CreationDate": None},
}


def write_plot(figure: Figure, file: Path, about: str = "") -> None:
    """Draw a figure into a file, atomically.

    Args:
        figure: any kind.
        file: its suffix is one of `FORMATS`.
        about: a line about the machine, the date and the versions, below the figure.

    Raises:
        UserError: the file cannot be written.
    """
    write_bytes(file, draw_plot(figure, file.suffix.lower(), about))


def draw_plot(figure: Figure, suffix: str, about: str = "") -> bytes:
    """Draw a figure; arguments as in `write_plot`."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    small = [*textwrap.wrap(explain_figure(figure), LINE_LENGTH), *textwrap.wrap(about, LINE_LENGTH)]
    foot = SMALL_LINE * len(small) + 0.1
    body = _choose_height(figure)
    height = HEAD + body + foot
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font lacks
        canvas = Canvas(figsize=(WIDTH, height))
        FigureCanvasAgg(canvas)
        parts: Any = canvas.subfigures(2, 1, height_ratios=(HEAD + body, foot), hspace=0)
        plot, notes = parts
        axes = plot.subplots()
        _draw(axes, figure)
        title = textwrap.shorten(make_visible(figure.title), MAX_TITLE_LENGTH, placeholder=" …")
        plot.text(0.015, 1 - 0.28 / (HEAD + body), title, fontweight="bold", fontsize=11, va="center")
        for number, line in enumerate(small):
            y = 1 - (number + 0.6) * SMALL_LINE / foot
            notes.text(0.015, y, make_visible(line), fontsize=7.5, color="#555555", va="center")
        _fit(plot, axes, height=HEAD + body)
        content = io.BytesIO()
        canvas.savefig(content, format=suffix[1:], dpi=DOTS_PER_INCH, metadata=METADATA[suffix], facecolor="white")
    return content.getvalue()


def list_figures(page: Page, choices: Mapping[str, str] | None = None) -> list[Figure]:
    """List the figures of a page in their order, as they are shown while its switches are set to `choices`.

    A switch that is not in `choices` is at its first option.
    """
    defaults = {switch.name: switch.options[0][0] for switch in page.switches if switch.options} | dict(choices or {})
    blocks = [*page.opening, *(block for section in page.sections for block in section.blocks)]
    return list(dict.fromkeys(_find_figures(blocks, defaults)))


def _find_figures(blocks: Sequence[Block], defaults: dict[str, str]) -> Iterator[Figure]:
    for block in blocks:
        match block:
            case Folded():
                yield from _find_figures(block.blocks, defaults)
            case When():
                if all(defaults.get(name, value) == value for name, value in block.state.items()):
                    yield from _find_figures(block.blocks, defaults)
            case ForestPlot() | DotPlot() | StackedBars() | GroupedBars() | LinePlot() | HeatMap() | Waterfall():
                yield block


def make_name(number: int, figure: Figure) -> str:
    """Make the name of a figure's file without its suffix, as `01-ratio-of-throughput`."""
    words = re.sub(r"[^a-z0-9]+", "-", figure.title.lower()).strip("-")
    return f"{number:02d}-{words[:MAX_NAME_LENGTH].strip('-')}"


def _choose_height(figure: Figure) -> float:
    """The height of the axes in inches."""
    match figure:
        case Waterfall():
            return _choose_rows_height([(step.label, step.text) for step in figure.steps])
        case ForestPlot():
            return _choose_rows_height([(row.label or row.case, row.text) for row in figure.rows])
        case StackedBars():
            return 0.5 + _choose_rows_height([(row.label or row.case, row.text) for row in figure.rows])
        case DotPlot():
            return 0.9 + sum(0.25 + 0.13 * max(1, len(row.groups)) for row in figure.rows)
        case GroupedBars():
            return 0.9 + sum(0.25 + 0.21 * len(group.bars) for group in figure.groups)
        case HeatMap():
            return 1.2 + 0.42 * len(figure.rows)
        case LinePlot():
            return 3.4 + 0.2 * len(figure.lines)


def _choose_rows_height(rows: Sequence[tuple[str, str]]) -> float:
    """The height of equally high rows with these names and figures, which may have several lines."""
    texts = [text for name, text in rows for text in (row_plots.wrap_name(name), row_plots.wrap_text(text))]
    lines = max((text.count("\n") + 1 for text in texts), default=1)
    return 0.9 + max(0.36, 0.06 + TEXT_LINE * lines) * max(1, len(rows))


def _draw(axes: Axes, figure: Figure) -> None:
    match figure:
        case ForestPlot():
            row_plots.draw_forest_plot(axes, figure)
        case DotPlot():
            row_plots.draw_dot_plot(axes, figure)
        case StackedBars():
            row_plots.draw_stacked_bars(axes, figure)
        case GroupedBars():
            row_plots.draw_grouped_bars(axes, figure)
        case Waterfall():
            row_plots.draw_waterfall(axes, figure)
        case LinePlot():
            field_plots.draw_line_plot(axes, figure)
        case HeatMap():
            field_plots.draw_heat_map(axes, figure)


def _fit(plot: Any, axes: Any, height: float) -> None:
    """Give the axes all the space below the title that their labels and the legend leave."""
    left, right, bottom, top = 0.1, 0.98, 0.5 / height, 1 - HEAD / height
    plot.subplots_adjust(left=left, right=right, bottom=bottom, top=top)
    box, whole = axes.get_tightbbox(plot.canvas.get_renderer()), plot.bbox
    margin = 0.015
    plot.subplots_adjust(
        left=min(0.6, left - (box.x0 - whole.x0) / whole.width + margin),
        right=max(0.65, right - (box.x1 - whole.x0) / whole.width + 1 - margin),
        bottom=min(0.7, bottom - (box.y0 - whole.y0) / whole.height + 0.02),
        top=top - max(0.0, (box.y1 - whole.y0) / whole.height - top),
    )
