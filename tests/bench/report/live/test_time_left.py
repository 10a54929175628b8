"""The time left: replayed recordings of real runs, with a simulated clock."""

from __future__ import annotations

import itertools

import pytest

from bench.plan.task_table import TASKS
from bench.report.live.stage_clock import FINE_TUNE, START
from bench.report.live.time_left import TimeLeft
from tests.bench.report.live.plans import make_jobs, make_plan, make_prepared
from tests.bench.report.live.recorded_run import FOLDER, read_run

RUNS = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


@pytest.mark.parametrize("name", RUNS)
def test_from_a_third_of_a_run_on_the_time_left_is_right_within_a_quarter(name):
    """Or within 5 % of the whole run, which near its end is more than a quarter of what is left."""
    run = read_run(name)
    wrong = [
        (round(one.spent), one.left, run.seconds - one.spent)
        for one in run.replay()
        if one.spent > run.seconds * run.right_from
        and abs(one.left - (run.seconds - one.spent)) > max(0.25 * (run.seconds - one.spent), 0.05 * run.seconds)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", RUNS)
def test_it_does_not_jump_up(name):
    """It grew from 101 to 913 s once, because a fine-tune had been guessed from a constant."""
    run = read_run(name)
    estimates = [one for one in run.replay() if one.spent > run.seconds * run.right_from]
    lowest = itertools.accumulate((one.left for one in estimates), min)
    growth = max(later.left - before for before, later in zip(lowest, estimates[1:], strict=False))
    assert growth < 0.15 * run.seconds


def test_there_are_recordings_of_several_runs():
    assert len(RUNS) >= 3
    assert len(read_run("offline").plan.tasks) == 2
    assert sum(read_run(name).right_from < 0.34 for name in RUNS) >= 2


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run_launch(time_left: TimeLeft, plan, clock: Clock, number: int, seconds: float, fine_tune: float = 0.0) -> None:
    """A launch in which each of three cases takes a third of the seconds to start, and its rounds no time."""
    jobs = make_jobs(plan, first=False, fine_tunes=bool(fine_tune))
    time_left.start_launch(plan.tasks[0], number, jobs)
    for job in jobs:
        clock.now += seconds / len(jobs)
        time_left.note_event(job.case, {"event": "built"})
        for kind in job.kinds:
            time_left.note_event(job.case, {"event": "calibrated", "kind": kind, "step_seconds": 0.01})
            time_left.note_round(job.case, kind, plan.suite.rounds, plan.suite.rounds, 400.0)
    for job in jobs if fine_tune else ():
        time_left.note_event(job.case, {"event": "fine-tune ready"})
        clock.now += fine_tune
        time_left.note_event(job.case, {"event": "fine-tuned"})
    for job in jobs:
        time_left.note_event(job.case, {"event": "finished"})
    time_left.end_launch()


def test_nothing_is_estimated_before_anything_was_measured(clock):
    time_left = TimeLeft(make_plan(), clock=clock)
    assert time_left.estimate().left is None
    assert time_left.estimate().share == 0.0


def test_launches_to_come_take_as_long_as_those_before(clock):
    plan = make_plan([make_prepared(TASKS["embedded"], fine_tune=False)], launches=5)
    time_left = TimeLeft(plan, clock=clock)
    for number in (1, 2):
        run_launch(time_left, plan, clock, number, 30.0)
    estimate = time_left.estimate()
    assert estimate.spent == pytest.approx(60.0)
    assert estimate.left == pytest.approx(90.0)
    assert estimate.share == pytest.approx(0.4)


def test_a_suite_with_a_time_limit_ends_with_the_launch_that_passes_it(clock):
    plan = make_plan([make_prepared(TASKS["embedded"], fine_tune=False)], launches=30, most_minutes=3)
    time_left = TimeLeft(plan, clock=clock)
    for number in (1, 2, 3, 4):
        run_launch(time_left, plan, clock, number, 30.0)
    assert time_left.estimate().left == pytest.approx(90.0), "at 180 s another one begins"


def test_launches_that_a_precision_needs_are_counted(clock):
    plan = make_plan([make_prepared(TASKS["embedded"], fine_tune=False)], launches=2)
    time_left = TimeLeft(plan, clock=clock)
    for number in (1, 2):
        run_launch(time_left, plan, clock, number, 30.0)
    assert time_left.estimate().left == pytest.approx(0.0)
    time_left.end_launch()
    time_left.start_launch(plan.tasks[0], 3, make_jobs(plan, first=False))
    time_left.end_launch(launches_wanted=4)
    assert time_left.estimate().left >= 80.0


def test_a_fine_tune_is_learned_from_its_own_messages(clock):
    plan = make_plan(launches=1, cases=["pytorch/default"])
    time_left = TimeLeft(plan, clock=clock)
    (job,) = make_jobs(plan, first=False, fine_tunes=True)
    time_left.start_launch(plan.tasks[0], 1, [job])
    time_left.note_event(job.case, {"event": "fine-tune ready"})
    for kind in job.kinds:
        time_left.note_event(job.case, {"event": "calibrated", "kind": kind, "step_seconds": 0.01})
        time_left.note_round(job.case, kind, 4, 4, 2_000.0)
    clock.now += 100.0  # 14,370 images at 2,000 a second would take 7 s
    time_left.note_event(job.case, {"event": "phase", "name": "fine-tune"})
    time_left.note_event(job.case, {"event": "progress", "epoch": 8, "steps": 45, "of": 45})
    assert 10.0 < time_left.estimate().left < 14.0, "a tenth of the fine-tune is left"


@pytest.mark.parametrize("rate", [50.0, 2_000.0])
def test_a_fine_tune_to_come_is_expected_from_the_rounds_of_its_case(clock, rate):
    plan = make_plan(launches=1, cases=["pytorch/default"])
    time_left = TimeLeft(plan, clock=clock)
    (job,) = make_jobs(plan, first=False, fine_tunes=True)
    time_left.start_launch(plan.tasks[0], 1, [job])
    for kind in job.kinds:
        time_left.note_event(job.case, {"event": "calibrated", "kind": kind, "step_seconds": 0.01})
        time_left.note_round(job.case, kind, 4, 4, rate)
    time_left.note_event(job.case, {"event": "built"})
    images = 10 * 1437 + 2 * 360  # of which 360 are evaluated, and again by epoch
    assert time_left.estimate().left == pytest.approx(images / rate, abs=3.0)


def test_a_dead_case_has_no_time_left(clock):
    plan = make_plan([make_prepared(TASKS["embedded"], fine_tune=False)], launches=1)
    time_left = TimeLeft(plan, clock=clock)
    jobs = make_jobs(plan)
    time_left.start_launch(plan.tasks[0], 1, jobs)
    time_left.note_event(jobs[0].case, {"event": "calibrated", "kind": "pipeline", "step_seconds": 0.01})
    before = time_left.estimate().left
    for job in jobs:
        time_left.note_event(job.case, {"event": "died", "reason": "killed"})
    after = time_left.estimate().left
    assert after < 2.0 < before


def test_time_belongs_to_the_stage_that_the_message_ends(clock):
    plan = make_plan(launches=2)
    time_left = TimeLeft(plan, clock=clock)
    run_launch(time_left, plan, clock, 1, 30.0, fine_tune=20.0)
    (launch,) = time_left._finished
    assert launch.seconds["pytorch/default", START] == pytest.approx(10.0)
    assert launch.seconds["keras/default", FINE_TUNE] == pytest.approx(20.0)
    assert sum(launch.seconds.values()) == pytest.approx(90.0)
