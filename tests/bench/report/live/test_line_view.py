"""Where lines stay: one line a launch, with the ratios so far, and few of them."""

from __future__ import annotations

import io

from rich.console import Console

from bench.plan.task_table import TASKS
from bench.report.live.line_view import LineView
from tests.bench.example_records import launches
from tests.bench.report.live.plans import BACKENDS, make_jobs, make_plan, make_prepared


def view_of(plan) -> LineView:
    return LineView(Console(file=io.StringIO(), width=80), plan)


def read_lines(view: LineView) -> list[str]:
    return view.console.file.getvalue().splitlines()


def run_launches(view: LineView, count: int, position: int = 0) -> None:
    plan = view.plan
    for number in range(1, count + 1):
        view.start_launch(plan.tasks[position], number, make_jobs(plan, first=number == 1))
        records = [
            record.model_copy(update={"position": position})
            for backend, step_ms in zip(BACKENDS, (5.0, 4.0, 6.0), strict=True)
            for record in launches(backend, number, step_ms=step_ms)
        ]
        view.finish_launch(records)


def test_a_launch_has_one_line_with_the_ratios_so_far():
    view = view_of(make_plan())
    run_launches(view, 3)
    lines = read_lines(view)
    assert lines[0] == "embedded: pytorch/default, tensorflow/default, keras/default"
    assert len(lines) == 4
    assert lines[1].startswith("  launch 1 of 3: tensorflow/default 1.2")
    assert "× pytorch/default" in lines[3]
    assert "[" not in lines[1], "one launch has no interval"
    assert "[" in lines[3]


def test_a_name_has_no_hash_and_no_task():
    view = view_of(make_plan())
    jobs = make_jobs(view.plan)
    view.start_launch(view.plan.tasks[0], 1, jobs)
    for job in jobs:
        view.on_event(job.case, {"event": "died", "reason": "killed"})
    text = view.console.file.getvalue()
    assert "keras/default died: killed" in text
    assert "8620ddf99934" not in text


def test_the_default_run_has_at_most_twenty_lines():
    plan = make_plan([make_prepared(TASKS["cifar10-resnet18"]), make_prepared(TASKS["embedded"])])
    offline = view_of(plan)
    run_launches(offline, 3)
    run_launches(offline, 3, position=1)
    assert len(read_lines(offline)) == 2 * (1 + 3)
    standard = view_of(make_plan(launches=30, most_minutes=14))
    run_launches(standard, 30)
    assert len(read_lines(standard)) <= 20


def test_one_case_alone_has_its_throughput():
    view = view_of(make_plan(cases=["pytorch/default"]))
    view.start_launch(view.plan.tasks[0], 1, make_jobs(view.plan))
    view.finish_launch(launches("pytorch", 1))
    assert read_lines(view)[1].startswith("  launch 1 of 3: pytorch/default 8")
    assert "images/s" in read_lines(view)[1]
