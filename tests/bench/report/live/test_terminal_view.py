"""The live table: on 80 x 24 also with seven cases, and what does not change is not drawn again."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from bench.plan.task_table import TASKS
from bench.report.live.run_view import RunView
from bench.report.live.terminal_block import TerminalBlock, is_interactive
from bench.report.live.terminal_view import TerminalView
from tests.bench.example_records import launches
from tests.bench.report.live.plans import BACKENDS, make_jobs, make_plan, make_prepared
from tests.bench.report.live.screen import Screen

SEVEN = (
    *(f"{backend}/default" for backend in BACKENDS),
    *(f"{backend}/tuned" for backend in BACKENDS),
    "pytorch/bf16+nhwc+compiled",
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def make_console(columns: int = 80, rows: int = 24) -> Console:
    return Console(file=Terminal(), width=columns, height=rows, force_terminal=True, color_system="standard")


def make_view(plan, console: Console | None = None, clock: Clock | None = None) -> TerminalView:
    return TerminalView(console or make_console(), plan, clock=clock or Clock(), tick=1000.0)


def read_screen(view: TerminalView) -> Screen:
    console = view.console
    screen = Screen(console.width, console.height)
    screen.feed(console.file.getvalue().replace("\n", "\r\n").replace("\r\r", "\r"))
    return screen


def make_records(cases, count: int):
    records = []
    for place, case in enumerate(cases):
        backend, _, variant = case.partition("/")
        records += launches(backend, count, variant=variant, step_ms=4.0 + place / 2)
    return records


def run_one_launch(view: RunView, cases, count: int = 1) -> None:
    view.start_launch(view.plan.tasks[0], count, make_jobs(view.plan))
    view.finish_launch(make_records(cases, count))


def test_the_table_has_throughput_ratio_memory_accuracy_and_the_verdict():
    view = make_view(make_plan())
    with view:
        run_one_launch(view, [f"{backend}/default" for backend in BACKENDS], 5)
        lines = read_screen(view).shown
    head = next(line for line in lines if line.startswith("case"))
    assert re.split(r"  +", head) == ["case", "images/s", "ratio to pytorch/default", "MB", "accuracy"]
    row = next(line for line in lines if line.startswith("tensorflow/default"))
    assert re.fullmatch(r"tensorflow/default +\d{3} +0\.\d\d \[0\.\d\d–0\.\d\d\] +\d{3} +70\.1 %", row)
    assert any(line.startswith("so far: At batch 4 ") for line in lines)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (100, 40)])
def test_seven_cases_fit(columns, rows, count):
    view = make_view(make_plan(cases=SEVEN), make_console(columns, rows))
    with view:
        run_one_launch(view, SEVEN, count)
        screen = read_screen(view)
    assert screen.above == [], "a line has left the screen"
    shown = screen.shown
    for case in SEVEN:
        assert any(line.startswith(case) for line in shown), case
    assert any(line.startswith("so far:") for line in shown)
    assert max(map(len, shown)) <= columns


def test_a_verdict_that_does_not_fit_says_so():
    view = make_view(make_plan(cases=SEVEN), make_console(60, 18))
    with view:
        run_one_launch(view, SEVEN, 5)
        shown = read_screen(view).shown
    assert shown[-1].endswith("…")
    assert max(map(len, shown)) <= 60
    assert all(any(line.startswith(case[:10]) for line in shown) for case in SEVEN)


def test_before_the_first_launch_is_over_it_says_what_each_case_does():
    view = make_view(make_plan())
    jobs = make_jobs(view.plan)
    with view:
        view.start_launch(view.plan.tasks[0], 1, jobs)
        view.on_event(jobs[0].case, {"event": "spawned"})
        view.on_event(jobs[0].case, {"event": "phase", "name": "proof"})
        view.block.draw()
        lines = read_screen(view).shown
    assert [re.sub(r"  +", ": ", line) for line in lines[3:]] == [
        "pytorch/default: proof",
        "tensorflow/default: waits to start",
        "keras/default: waits to start",
    ]


def test_the_answer_on_a_task_stays_while_the_next_is_measured():
    plan = make_plan([make_prepared(TASKS["cifar10-resnet18"]), make_prepared(TASKS["embedded"])])
    view = make_view(plan)
    with view:
        run_one_launch(view, [f"{backend}/default" for backend in BACKENDS], 5)
        view.start_launch(plan.tasks[1], 1, make_jobs(plan))
        lines = read_screen(view).shown
    assert lines[0].startswith("embedded, launch 1")
    assert any(line.startswith("cifar10-resnet18: At batch 4 ") for line in lines)
    assert not any(line.startswith("so far:") for line in lines)


def test_no_rate_stands_beside_another_phase():
    view = RunView(make_plan())
    jobs = make_jobs(view.plan)
    view.start_launch(view.plan.tasks[0], 1, jobs)
    view.on_round(jobs[0].case, "pipeline", 3, 4, 338.2)
    assert view.activities.describe_now() == "pytorch/default: pipeline round 3 of 4, 338 images/s"
    assert view.activities.describe_cases()["pytorch/default"] == "pipeline round 3 of 4"
    view.on_event(jobs[0].case, {"event": "phase", "name": "compute warm-up"})
    assert view.activities.describe_now() == "pytorch/default: compute warm-up"
    assert "images/s" not in str(view.activities.describe_cases())
    view.on_event(jobs[0].case, {"event": "calibrated", "kind": "compute", "step_seconds": 0.1})
    assert view.activities.describe_now() == ""


def test_between_launches_only_lines_that_changed_are_written():
    view, clock = make_view(make_plan(), clock=Clock()), Clock()
    view.time_left._clock = view.clock = clock
    with view:
        run_one_launch(view, [f"{backend}/default" for backend in BACKENDS], 3)
        before = len(view.console.file.getvalue())
        view.on_round(make_jobs(view.plan)[1].case, "pipeline", 1, 4, 400.0)
        view.block.draw()
        written = view.console.file.getvalue()[before:]
        lines = read_screen(view).shown
    assert "now: tensorflow/default: pipeline round 1 of 4, 400 images/s" in lines
    assert "pipeline round 1" in written
    assert "pytorch/default  " not in written, "a row of the table was drawn again"
    assert "so far" not in written


def test_nothing_new_writes_nothing():
    view = make_view(make_plan())
    with view:
        run_one_launch(view, ["pytorch/default"])
        before = view.console.file.getvalue()
        view.block.draw()
        assert view.console.file.getvalue() == before


def test_a_line_above_stays_and_the_block_goes():
    view = make_view(make_plan())
    jobs = make_jobs(view.plan)
    with view:
        run_one_launch(view, ["pytorch/default"])
        view.on_event(jobs[2].case, {"event": "died", "reason": "killed by SIGKILL"})
        shown = read_screen(view).shown
        assert shown[0] == "keras/default died: killed by SIGKILL"
        assert any(line.startswith("so far") for line in shown)
        assert read_screen(view).cursor_hidden
    screen = read_screen(view)
    assert screen.shown == ["keras/default died: killed by SIGKILL"]
    assert not screen.cursor_hidden


def test_a_block_higher_than_the_terminal_is_cut():
    console = make_console(40, 5)
    with TerminalBlock(console, lambda: "\n".join(str(number) for number in range(9)), tick=1000.0) as block:
        block.draw()
        screen = Screen(40, 5)
        screen.feed(console.file.getvalue())
    assert screen.above == []
    assert screen.shown == ["0", "1", "2", "3"]


def test_after_the_terminal_was_resized_the_block_is_drawn_anew():
    console = make_console(80, 24)
    view = make_view(make_plan(), console)
    with view:
        run_one_launch(view, [f"{backend}/default" for backend in BACKENDS], 3)
        before = len(console.file.getvalue())
        console.size = (60, 24)
        view.block.draw()
        written = console.file.getvalue()[before:]
    assert "keras/default" in written
    screen = Screen(60, 24)
    screen.feed(written)
    assert max(map(len, screen.shown)) <= 60


@pytest.mark.parametrize(("term", "interactive"), [("xterm", True), ("dumb", False), (None, False), ("", False)])
def test_nothing_is_redrawn_on_a_terminal_that_nothing_is_known_about(monkeypatch, term, interactive):
    if term is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", term)
    assert is_interactive(Console(file=Terminal(), force_terminal=True)) == interactive
