"""The message on a worker that died."""

from __future__ import annotations

from bench.measure.target_launch import choose_shown_lines


def test_a_dead_workers_lines_have_no_rulers():
    ruler = "!" * 40
    output = ["first", "ValueError: bad", "", f"{ruler} stopping {ruler}", "==== 1 failed ===="]
    assert choose_shown_lines(output) == ["first", "ValueError: bad"]
    assert choose_shown_lines(["1", "2", "3", "4"]) == ["2", "3", "4"]
