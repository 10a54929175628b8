"""The list of runs and other results of a results folder: what each has measured, and whether it can be resumed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.cli.result_row import describe_result
from bench.errors import UserError
from bench.records.result_kinds import KINDS, find_kind

COLUMNS = ("run", "task", "cases", "launches", "state")


def list_runs(results: Path) -> list[tuple[str, ...]]:
    """Make a row for each run and other result, oldest first, with the columns `COLUMNS`."""
    from bench.records import store

    return [_describe(run) for run in store.list_runs(results, *KINDS)]


def _describe(run: Path) -> tuple[str, ...]:
    kind = find_kind(run)
    if kind == "run" or kind is None:
        return _describe_run(run)
    return _describe_sweep(run) if kind == "sweep" else describe_result(kind, run)


def _describe_run(run: Path) -> tuple[str, ...]:
    from bench.analysis.run_state import describe_state
    from bench.measure import resume
    from bench.records import store

    records, problems = store.read_records(run)
    try:
        request = resume.read_request(run)
    except UserError:
        request = None
    if not records:
        return run.name, "–", "–", "0", _describe_unreadable(problems) or _name_rest(request is not None, "nothing yet")
    tasks = len(request.tasks) if request else 0
    state = describe_state(records, tasks or _count_entries(records[0].about))
    launches = (
        f"{state.complete}" if state.planned in (None, state.complete) else f"{state.complete} of {state.planned}"
    )
    parts = [
        "finished" if state.finished else _name_rest(request is not None),
        f"{state.died} died" if state.died else "",
        _describe_unreadable(problems),
    ]
    return run.name, ", ".join(state.tasks), _shorten_cases(state.cases), launches, ", ".join(filter(None, parts))


def _count_entries(about: object) -> int | None:
    """How many tasks the suite of a run has; None where its records do not say."""
    run = about.get("run") if isinstance(about, dict) else None
    suite = run.get("suite") if isinstance(run, dict) else None
    return len(suite.get("entries") or ()) or None if isinstance(suite, dict) else None


def _describe_sweep(run: Path) -> tuple[str, ...]:
    from bench.sweep import sweep_record
    from bench.sweep.sweep_options import read_options

    records, problems = sweep_record.read_records(run)
    try:
        options = read_options(run, run.parent)
    except UserError:
        options = None
    backends = dict.fromkeys(record.backend for record in records)
    died = sum(record.failure is not None for record in records)
    combinations = len({record.number for record in records})
    state = "sweep" if options is None else "sweep, resumable"
    if options is not None and records:
        planned = 1
        for values in options.axes.values():
            planned *= len(values)
        complete = combinations >= planned and len(records) == combinations * len(backends)
        state = "sweep, finished" if complete else f"sweep, resumable: {combinations} of {planned} combinations"
    parts = [state, f"{died} died" if died else "", _describe_unreadable(problems)]
    tasks = ", ".join(dict.fromkeys(record.task.name for record in records)) or "–"
    return run.name, tasks, ", ".join(backends) or "–", str(len(records)), ", ".join(filter(None, parts))


def _name_rest(can_be_resumed: bool, measured: str = "") -> str:
    return ", ".join(filter(None, (measured, "resumable" if can_be_resumed else "unfinished")))


def _describe_unreadable(problems: Iterable[str]) -> str:
    """Say why records of a run cannot be read, in a few words; empty if all can."""
    lines = list(problems)
    if not lines:
        return ""
    reasons = {
        "is newer": "of a newer version",
        "is older": "of an older version",
        "checksum": "edited",
        "cut off": "cut off",
        "cannot be opened": "no access",
    }
    found = dict.fromkeys(text for line in lines for part, text in reasons.items() if part in line)
    return f"{len(lines)} {'record' if len(lines) == 1 else 'records'} unreadable: {', '.join(found) or 'not ours'}"


def _shorten_cases(cases: Iterable[str]) -> str:
    """Cases without the variant `default`, which most have."""
    return ", ".join(case.removesuffix("/default") for case in cases)
