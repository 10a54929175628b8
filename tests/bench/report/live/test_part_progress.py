"""Long phases on the screen: how much is done, and the time left."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.report.live.part_progress import PartProgress
from bench.report.live.silent_progress import SilentProgress
from bench.sweep.sweep_progress import SweepProgress

EXTRACTION = {"event": "phase", "name": "extraction"}


def part(done: int, of: int | None = 60_000, unit: str = "images") -> dict:
    return {"event": "part", "done": done, "of": of, "unit": unit}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_part_says_what_is_done_and_the_time_left(clock):
    parts = PartProgress(clock)
    assert parts.describe("a", EXTRACTION) is None
    assert parts.describe("a", part(0)) == "extraction, 0 of 60,000 images"
    clock.now += 27
    assert parts.describe("a", part(12_000)) == "extraction, 12,000 of 60,000 images, about 108 s left"
    assert parts.describe("a", {"event": "phase", "name": "compute warm-up"}) is None
    assert parts.describe("a", part(3, None, "blocks")) == "compute warm-up, 3 blocks"
    assert parts.describe("a", {"event": "ready"}) is None


def test_the_first_part_does_not_count_for_the_time_left(clock):
    parts = PartProgress(clock)
    parts.describe("a", {"event": "phase", "name": "proof"})
    clock.now += 17
    assert parts.describe("a", part(1, 12, "steps")) == "proof, 1 of 12 steps"
    clock.now += 1
    assert parts.describe("a", part(2, 12, "steps")) == "proof, 2 of 12 steps, about 10 s left"


def test_where_lines_stay_only_a_long_phase_has_some(clock):
    said: list[str] = []
    progress = SilentProgress(said.append)
    progress.parts = PartProgress(clock)
    progress.on_event("a", EXTRACTION)
    for second in range(1, 100):
        clock.now = 100.0 + second
        progress.on_event("a", part(100 * second, 10_000))
    assert said == [
        "  a: extraction, 3,000 of 10,000 images, about 70 s left",
        "  a: extraction, 9,000 of 10,000 images, about 10 s left",
    ]


def test_a_sweep_without_a_terminal_has_a_line_now_and_then(clock):
    console = Console(file=io.StringIO(), width=100)
    grid = SimpleNamespace(combinations=(), fine_tunes=(), varied=())
    shown = SweepProgress(console, grid, 0, None)
    shown.parts = PartProgress(clock)
    shown.event("pytorch", EXTRACTION)
    shown.event("pytorch", part(0))
    for seconds in (29, 2, 2):
        clock.now += seconds
        shown.event("pytorch", part(30_000))
    assert console.file.getvalue() == "  pytorch: extraction, 30,000 of 60,000 images, about 31 s left\n"
