"""Sparklines: heights are logarithms, a new level is marked, and the newest values are kept."""

from __future__ import annotations

import pytest

from bench.report.sparkline import draw_sparkline


@pytest.mark.parametrize(
    ("values", "changes", "drawn"),
    [
        ([], (), ""),
        ([1.0], (), "▁"),
        ([1.0, 2.0, 4.0], (), "▁▅█"),
        ([4.0, 1.0], (), "█▁"),
        ([1.0, 1.0, 2.0, 2.0], (2,), "▁▁│██"),
        ([1.0, 1.001], (), "▁▁"),
    ],
)
def test_it_draws(values, changes, drawn):
    assert draw_sparkline(values, changes) == drawn


def test_the_newest_values_are_shown_in_the_given_width():
    values = [float(n) for n in range(1, 41)]
    assert len(draw_sparkline(values, (30,), width=16)) == 16
    assert draw_sparkline(values, (3, 30), width=16).endswith("█")
