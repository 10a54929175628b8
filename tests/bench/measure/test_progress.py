"""Live progress: the time left, and one line per phase without a terminal."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.measure.progress import Progress
from bench.plan.plan import make_plan
from bench.plan.request import Request


def make_plan_of_embedded():
    request = Request(suite="standard", tasks=["embedded"], overrides={"weights": "random"}, backends=["pytorch"])
    return make_plan(request)


@pytest.fixture(scope="module")
def made():
    return make_plan_of_embedded()


def progress(made, **suite) -> Progress:
    console = Console(file=io.StringIO(), width=100)
    sized = made.suite.model_copy(update={"most_minutes": None, **suite})
    return Progress(console, SimpleNamespace(**{**vars(made), "suite": sized, "cases": made.cases}))


def test_the_time_left_is_estimated_from_the_work_done(made):
    shown = progress(made)
    assert shown.estimate_remaining(10.0) == (0.0, None)
    shown.done_seconds = shown.total_seconds / 4
    assert shown.estimate_remaining(100.0) == (0.25, pytest.approx(300.0))


def test_a_suite_with_a_time_limit_has_at_most_that_left(made):
    shown = progress(made, most_minutes=14)
    assert shown.estimate_remaining(60.0) == (pytest.approx(60 / 840), 780.0), "the speed is still unknown"
    shown.done_seconds = shown.total_seconds / 2
    assert shown.estimate_remaining(800.0) == (pytest.approx(800 / 840), pytest.approx(40.0)), (
        "the launches would take 800 s more"
    )
    assert shown.estimate_remaining(900.0) == (0.99, 0.0)


def test_without_a_terminal_there_is_a_line_per_phase(made):
    shown = progress(made)
    (prepared,) = made.tasks
    with shown:
        shown.start_launch(prepared, 1, [SimpleNamespace(case="pytorch-default")])
        shown.on_event("pytorch-default", {"event": "phase", "name": "build"})
        shown.on_round("pytorch-default", "pipeline", 1, 2, 123.0)
        shown.on_round("pytorch-default", "pipeline", 2, 2, 456.0)
    lines = shown.console.file.getvalue().splitlines()
    assert lines == [
        "embedded, launch 1 of 30",
        "  pytorch-default: build",
        "  pytorch-default: 2 pipeline rounds, 456 images/s in the last",
    ]
