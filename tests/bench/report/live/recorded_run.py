"""Recorded runs: the times of the messages of real runs, replayed with a simulated clock.

A file of `run_logs/` has a line about the plan, and one for each call of the watcher, with the seconds since the run
began. Messages of progress are left out if they came within five seconds of the one before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from backends.task import Task
from bench.report.live.time_left import TimeEstimate, TimeLeft
from tests.bench.report.live.plans import make_plan, make_prepared

FOLDER = Path(__file__).with_name("run_logs")


@dataclass
class RecordedRun:
    """A recorded run: its plan, its events, and the share from which on the time left has to be right.

    That is a third; later only where the load of the machine has changed, which nothing can foresee.
    """

    plan: Any
    events: list[list[Any]]
    right_from: float

    @property
    def seconds(self) -> float:
        return self.events[-1][0]

    def replay(self, every: float = 3.0) -> Iterator[TimeEstimate]:
        """Replay the run into a `TimeLeft`; yields its estimate after each event, and every so many seconds."""
        now = 0.0
        time_left = TimeLeft(self.plan, clock=lambda: now)
        for event in self.events:
            while now + every < event[0]:
                now += every
                yield time_left.estimate()
            now = event[0]
            feed(time_left, self.plan, event)
            yield time_left.estimate()


def feed(time_left: TimeLeft, plan: Any, event: list[Any]) -> None:
    match event[1:]:
        case ["launch", position, number, jobs]:
            time_left.start_launch(plan.tasks[position], number, [make_job(*job) for job in jobs])
        case ["event", case, message]:
            time_left.note_event(case, message)
        case ["round", *of_round]:
            time_left.note_round(*of_round)
        case ["finished"]:
            time_left.end_launch()


def make_job(case: str, rounds: int, kinds: list[str], proof_steps: int, seeds: list[int]) -> Any:
    return SimpleNamespace(case=case, label=case, rounds=rounds, kinds=kinds, proof_steps=proof_steps, seeds=seeds)


def read_run(name: str) -> RecordedRun:
    head, *events = (json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines())
    tasks = [
        make_prepared(Task.model_validate(one["task"]), one["images"], one["test_images"], one["fine_tune"])
        for one in head["tasks"]
    ]
    plan = make_plan(tasks, head["tasks"][0]["cases"], seeds=head["seeds"], **head["suite"], description="")
    return RecordedRun(plan, events, head["right_from"])
