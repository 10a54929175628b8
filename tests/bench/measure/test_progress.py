"""Live progress: what is left, and a line a phase where nobody looks at a terminal."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.measure.progress import Progress
from bench.plan.request import Request, plan


@pytest.fixture(scope="module")
def made():
    asked = Request(suite="standard", tasks=["embedded"], overrides={"weights": "random"}, backends=["pytorch"])
    return plan(asked)


def progress(made, **suite) -> Progress:
    console = Console(file=io.StringIO(), width=100)
    sized = made.suite.model_copy(update={"most_minutes": None, **suite})
    return Progress(console, SimpleNamespace(**{**vars(made), "suite": sized, "cases": made.cases}))


def test_what_is_left_follows_from_what_is_done(made):
    shown = progress(made)
    assert shown.left(10.0) == (0.0, None)
    shown.done = shown.total / 4
    assert shown.left(100.0) == (0.25, pytest.approx(300.0))


def test_a_suite_that_ends_by_the_clock_has_no_more_left_than_that(made):
    shown = progress(made, most_minutes=14)
    assert shown.left(60.0) == (pytest.approx(60 / 840), 780.0), "nobody knows yet how fast it goes"
    shown.done = shown.total / 2
    assert shown.left(800.0) == (pytest.approx(800 / 840), pytest.approx(40.0)), "the launches would take 800 s more"
    assert shown.left(900.0) == (0.99, 0.0)


def test_without_a_terminal_there_is_a_line_a_phase(made):
    shown = progress(made)
    (prepared,) = made.tasks
    with shown:
        shown.launch(prepared, 1, [SimpleNamespace(case="pytorch-default")])
        shown.event("pytorch-default", {"event": "phase", "name": "build"})
        shown.round("pytorch-default", "pipeline", 1, 2, 123.0)
        shown.round("pytorch-default", "pipeline", 2, 2, 456.0)
    lines = shown.console.file.getvalue().splitlines()
    assert lines == [
        "embedded, launch 1 of 30",
        "  pytorch-default: build",
        "  pytorch-default: 2 pipeline rounds, 456 images/s in the last",
    ]
