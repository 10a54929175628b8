"""A list on a terminal: a table without a frame, in which no word is broken that fits the terminal's width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from bench.report.column_widths import distribute_width, find_longest_word
from bench.report.html.visible_text import make_visible

#: Blanks between two columns, and those before a text that stands below its row.
GAP, INDENT = 2, 4
#: A last column that would be narrower than this is shown below its row.
LEAST_LAST_WIDTH = 24

Row = Sequence[str | Text]


@dataclass(frozen=True)
class ListTable:
    """A list of rows with headings.

    The first column is wrapped only with `wrap_first`: in most lists it holds what is typed as an option's value.
    Where the columns do not fit side by side, the last one, which describes its row, stands below it; where that is not
    enough, so does every column but the first, with its heading.
    """

    columns: Sequence[str]
    rows: Sequence[Row]
    wrap_first: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the list out in the terminal's width."""
        if widths := self._fit(len(self.columns), options.max_width):
            yield self._build_grid(widths)
        elif len(self.columns) > 2 and (widths := self._fit(len(self.columns) - 1, options.max_width)):
            yield from self._lay_out_last_below(widths)
        else:
            yield from self._lay_out_all_below()

    def _fit(self, count: int, width: int) -> list[int] | None:
        """The widths of the first columns if they fit side by side without a broken word; None if they do not."""
        columns = [[self.columns[n], *(make_visible(str(row[n])) for row in self.rows)] for n in range(count)]
        first = find_longest_word(columns[0]) if self.wrap_first else max(map(cell_len, columns[0]))
        least = [first, *map(find_longest_word, columns[1:])]
        if count == len(self.columns):
            least_last = min(LEAST_LAST_WIDTH, max(map(cell_len, columns[-1])))
            # Below its row, the last of two columns would have little more space for its longest word.
            least[-1] = least_last if count == 2 else max(least[-1], least_last)
        free = width - GAP * (count - 1)
        return distribute_width(columns, least, free) if sum(least) <= free else None

    def _build_grid(self, widths: Sequence[int], rows: Iterable[Row] | None = None, heading: bool = True) -> Grid:
        grid = Grid(box=None, header_style="bold", show_header=heading, pad_edge=False, padding=(0, GAP, 0, 0))
        for name, width in zip(self.columns, widths, strict=False):
            grid.add_column(Text(name), width=width, overflow="fold")
        for row in self.rows if rows is None else rows:
            grid.add_row(*(_to_text(cell) for cell in row[: len(widths)]))
        return grid

    def _lay_out_last_below(self, widths: Sequence[int]) -> Iterator[RenderableType]:
        yield self._build_grid(widths, ())
        yield Padding(Text(self.columns[-1], style="bold"), (0, 0, 0, INDENT))
        for row in self.rows:
            yield self._build_grid(widths, [row], heading=False)
            yield Padding(_to_text(row[-1], "dim"), (0, 0, 0, INDENT))

    def _lay_out_all_below(self) -> Iterator[RenderableType]:
        for row in self.rows:
            yield _to_text(row[0], "bold")
            for name, cell in zip(self.columns[1:], row[1:], strict=True):
                if str(cell):
                    text = Text.assemble((f"{name}: ", "dim"), _to_text(cell))
                    text.overflow = "fold"
                    yield Padding(text, (0, 0, 0, INDENT))


def _to_text(cell: str | Text, style: str = "") -> Text:
    """A cell as text in which nothing is markup or hidden, and of which a word longer than its line is folded."""
    text = cell.copy() if isinstance(cell, Text) else Text(make_visible(cell), style=style)
    text.overflow = "fold"
    return text
