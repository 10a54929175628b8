"""Plans and jobs for the tests of views, without images or weights."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from backends.task import Task, Variant
from bench.plan.suite import Suite, SuiteEntry
from bench.plan.task_table import TASKS
from bench.records.round_kinds import COMPARED, KINDS

BACKENDS = ("pytorch", "tensorflow", "keras")


def make_prepared(task: Task, images: int = 1437, test_images: int = 360, fine_tune: bool = True) -> Any:
    dataset = SimpleNamespace(train_images=range(images), test_images=range(test_images))
    return SimpleNamespace(task=task, dataset=dataset, fine_tune=fine_tune)


def make_plan(
    tasks: Sequence[Any] = (),
    cases: Sequence[str] = tuple(f"{backend}/default" for backend in BACKENDS),
    *,
    seeds: int = 1,
    until: float | None = None,
    **suite: Any,
) -> Any:
    """A plan with the cases, as `backend/variant`, of each task."""
    fields = {"name": "small", "description": "small", "launches": 3, "rounds": 4, "round_seconds": 1.0}
    pairs = [(case.partition("/")[0], Variant(name=case.partition("/")[2])) for case in cases]
    return SimpleNamespace(
        suite=Suite(**{**fields, "entries": (SuiteEntry(task="embedded"),), **suite}),
        tasks=tuple(tasks or [make_prepared(TASKS["embedded"])]),
        cases=lambda prepared: pairs,
        seeds=seeds,
        until=until,
        done=(),
        relative_to="pytorch",
        banner=None,
    )


def make_jobs(plan: Any, first: bool = True, fine_tunes: bool = False) -> list[Any]:
    """The jobs of a launch of the plan's first task; ids have what people must not see: the task and a hash."""
    return [
        SimpleNamespace(
            case=f"{backend}-{variant.name}-embedded-8620ddf99934",
            label=f"{backend}/{variant.name}",
            rounds=plan.suite.rounds,
            kinds=KINDS if first else COMPARED,
            proof_steps=6 if first else 0,
            seeds=(0,) if fine_tunes else (),
        )
        for backend, variant in plan.cases(plan.tasks[0])
    ]
