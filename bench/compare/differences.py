"""What differs between runs beside their figures: machine, versions, variables, the harness, and settings of cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backends.task import Task
from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.compare.stored_run import StoredRun
from bench.machine.stored_environment import read_about
from bench.plan.variants import get_knob_settings

#: Singular names of the kinds of a fingerprint.
KIND_NAMES = {"machine": "machine", "versions": "version", "variables": "variable"}
NOT_SET = "–"
#: The most flags of a CPU that are named.
MOST_FLAGS = 4
#: Settings that a worker resolved which are no difference of their own: the version is one already.
OMITTED_SETTINGS = ("framework", "versions", "flags")


@dataclass(frozen=True)
class Difference:
    """Something that is not the same in all runs: its kind, its name, and its value in each of them."""

    kind: str
    name: str
    values: tuple[str, ...]


def list_differences(runs: Sequence[StoredRun]) -> list[Difference]:
    """List what differs between runs: machine first, then versions, variables, the harness, the run and its cases."""
    found = [
        *_list_fingerprint(runs),
        *_list_system(runs),
        *_list_harness(runs),
        *_list_effort(runs),
        *_list_settings(runs),
    ]
    return [one for one in found if len(set(one.values)) > 1]


def find_task_difference(one: TaskLaunches, other: TaskLaunches) -> str | None:
    """Find which fields of two tasks differ, with both values; None if none does."""
    fields = Task.model_fields
    changed = [
        f"{name} {_format(getattr(one.task, name))} and {_format(getattr(other.task, name))}"
        for name in fields
        if name != "name" and getattr(one.task, name) != getattr(other.task, name)
    ]
    return ", ".join(changed) or None


def find_case_difference(one: CaseLaunches, other: CaseLaunches) -> str | None:
    """Find why two cases of one task are not the same experiment; None if they are."""
    for case in (one, other):
        if reason := case.why_not_comparable():
            return reason
    mine, theirs = one.first, other.first
    if mine.dataset_fingerprint != theirs.dataset_fingerprint:
        return "other images"
    if mine.checkpoint_hash != theirs.checkpoint_hash:
        return "another checkpoint"
    knobs = [{**get_knob_settings(first.variant), "precision": first.variant.precision} for first in (mine, theirs)]
    names = [name for name in dict.fromkeys((*knobs[0], *knobs[1])) if knobs[0].get(name) != knobs[1].get(name)]
    if names:
        return ", ".join(f"{name} {' and '.join(_format(each.get(name)) for each in knobs)}" for name in names)
    return None


def _list_fingerprint(runs: Sequence[StoredRun]) -> Iterator[Difference]:
    for kind, name_of_kind in KIND_NAMES.items():
        parts = [run.fingerprint.get(kind, {}) for run in runs]
        for name in dict.fromkeys(name for part in parts for name in part):
            values = tuple(_format(part.get(name)) for part in parts)
            if name == "CPU flags" and len(set(values)) > 1:
                values = _list_own_flags(runs)
            yield Difference(name_of_kind, name, values)


def _list_own_flags(runs: Sequence[StoredRun]) -> tuple[str, ...]:
    """The flags of each run's CPU that not all of them have: a fingerprint has only their checksum."""
    known = [set(run.about["cpu"]["flags"]) if run.fingerprint else set() for run in runs]
    shared = set.intersection(*known)
    own = [sorted(flags - shared) for flags in known]
    return tuple(
        NOT_SET
        if not flags
        else ", ".join(flags[:MOST_FLAGS]) + (f" and {len(flags) - MOST_FLAGS} more" if len(flags) > MOST_FLAGS else "")
        for flags in own
    )


def _list_system(runs: Sequence[StoredRun]) -> Iterator[Difference]:
    """What a machine may change without becoming another one."""
    for part, name in (("system", "kernel"), ("cpu", "microcode")):
        found = [read_about(run.about, part).get(name) for run in runs]
        yield Difference("machine", name, tuple(_format(value) for value in found))


def _list_harness(runs: Sequence[StoredRun]) -> Iterator[Difference]:
    known = [read_about(run.about, "git") for run in runs]
    revisions = tuple(
        f"{str(state.get('revision') or NOT_SET)[:8]}{', modified' if state.get('dirty') else ''}" for state in known
    )
    yield Difference("harness", "revision", revisions)


def _list_effort(runs: Sequence[StoredRun]) -> Iterator[Difference]:
    yield Difference("run", "suite", tuple(run.suite for run in runs))
    for name, count in (("launches", _count_launches), ("rounds", _count_rounds)):
        yield Difference("run", name, tuple(_format_range([count(case) for case in _list_cases(run)]) for run in runs))


def _list_settings(runs: Sequence[StoredRun]) -> Iterator[Difference]:
    """Threads, device and what a worker resolved, of the cases that several runs have."""
    by_run = [{(case.first.task.name, case.label): case for case in _list_cases(run)} for run in runs]
    for key in dict.fromkeys(key for cases in by_run for key in cases):
        settings = [_read_settings(cases[key]) if key in cases else None for cases in by_run]
        known = [each for each in settings if each is not None]
        for name in dict.fromkeys(name for each in known for name in each):
            if len({_format(each.get(name)) for each in known}) > 1:
                values = tuple(NOT_SET if each is None else _format(each.get(name)) for each in settings)
                yield Difference(key[1], f"{name} ({key[0]})", values)


def _read_settings(case: CaseLaunches) -> dict[str, Any]:
    first = next(iter(case.finished), case.first)
    resolved = first.resolved
    flags = resolved.get("flags")
    return {
        "threads": first.variant.threads,
        "device": first.variant.device,
        **{name: value for name, value in resolved.items() if name not in (*OMITTED_SETTINGS, "threads", "device")},
        **(flags if isinstance(flags, Mapping) else {}),
    }


def _list_cases(run: StoredRun) -> list[CaseLaunches]:
    return [case for task in run.tasks for case in task.cases]


def _count_launches(case: CaseLaunches) -> int:
    return len(case.finished)


def _count_rounds(case: CaseLaunches) -> int:
    return max((len(seconds) for seconds in case.seconds_per_image("pipeline").values()), default=0)


def _format_range(counts: Sequence[int]) -> str:
    return "–".join(str(count) for count in dict.fromkeys((min(counts), max(counts))))


def _format(value: object) -> str:
    return NOT_SET if value is None else str(value)
