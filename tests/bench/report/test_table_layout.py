"""The layout of a table: unbroken where it can be, transposed where that wraps fewer figures, and no broken word."""

from __future__ import annotations

import pytest

from bench.report.table_layout import lay_out
from bench.report.tables import Cell, Column, Table


def make_table(columns: int, rows: int = 2, figure: str = "1,234 [1,200–1,260]") -> Table:
    return Table(
        title="t",
        columns=(Column("case", figures=False), *(Column(f"figure {n}") for n in range(columns))),
        rows=tuple((Cell(f"backend{r}/default"), *(Cell(f"{figure}") for _ in range(columns))) for r in range(rows)),
    )


def test_a_table_that_fits_stays_as_it_is():
    table = make_table(2)
    (layout,) = lay_out(table, 80)
    assert layout.table == table
    assert layout.widths == (16, 19, 19)


def test_many_columns_of_few_rows_become_few_columns():
    (layout,) = lay_out(make_table(8), 80)
    assert [column.name for column in layout.table.columns] == ["case", "backend0/default", "backend1/default"]
    assert [row[0].text for row in layout.table.rows] == [f"figure {n}" for n in range(8)]
    assert layout.widths == (8, 19, 19)


def test_figures_get_the_width_before_headings():
    table = Table(
        title="t",
        columns=(Column("case", figures=False), Column("a heading of many words")),
        rows=((Cell("a/default"), Cell("1.16 [1.12–1.20]")),),
    )
    assert lay_out(table, 30)[0].widths == (9, 16)


@pytest.mark.parametrize("columns", [1, 3, 8, 20])
@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_no_word_is_broken_and_nothing_is_lost(columns, width):
    table = make_table(columns, rows=12)
    layouts = lay_out(table, width)
    for layout in layouts:
        assert sum(layout.widths) + 3 * len(layout.widths) - 1 <= width
        for row in (tuple(Cell(column.name) for column in layout.table.columns), *layout.table.rows):
            for cell, room in zip(row, layout.widths, strict=True):
                assert all(len(word) <= room for word in cell.text.split())
    shown = [column.name for layout in layouts for column in layout.table.columns[1:]]
    assert shown == [f"figure {n}" for n in range(columns)]


def test_a_word_that_is_wider_than_the_terminal_is_all_that_may_be_cut():
    (layout,) = lay_out(make_table(1, figure="x" * 50), 30)
    assert layout.widths[1] == 50
