"""A row of `bench list runs` for a result that is no run of backends: of a gate, a tune, tests of the user, …"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.errors import UserError
from bench.records.result_kinds import ResultKind


def describe_result(kind: ResultKind, folder: Path) -> tuple[str, ...]:
    """Describe a result by its name, tasks, cases, launches and state."""
    try:
        match kind:
            case "gate":
                return folder.name, *_describe_gate(folder)
            case "tune":
                return folder.name, *_describe_tune(folder)
            case "explain":
                return folder.name, *_describe_explanation(folder)
            case "merge":
                return folder.name, *_describe_merged(folder)
            case "run --target":
                return folder.name, *_describe_targets(folder)
            case _:
                return folder.name, *_describe_roofline(folder)
    except UserError:
        return folder.name, "–", "–", "0", f"{kind}, unreadable"


def _describe_gate(folder: Path) -> tuple[str, ...]:
    from bench.gate import stored_gate
    from bench.gate.judgement import WORST_FIRST

    gate = stored_gate.read(folder)
    # A case is `backend/variant task`, or the name of a test.
    names = [judgement.case.partition(" ") for judgement in gate.cases]
    verdicts = {judgement.verdict for judgement in gate.cases}
    worst = next((verdict.value for verdict in WORST_FIRST if verdict in verdicts), "no verdict")
    launches = max((judgement.launches for judgement in gate.cases), default=0)
    return (
        _join(task for _, _, task in names),
        _join(case.removesuffix("/default") for case, _, _ in names),
        str(launches),
        f"gate: {worst}" + (", stopped" if gate.stopped else ""),
    )


def _describe_tune(folder: Path) -> tuple[str, ...]:
    from bench.tune import stored_tune

    found, problems = stored_tune.read_all(folder)
    tuned = [one.tuned for one in found]
    faster = sum(bool(one.knobs) for one in tuned)
    return (
        _join(one.task for one in tuned),
        _join(one.backend for one in tuned),
        "–",
        f"tune: {faster} of {len(tuned)} faster than the default" + _count_unreadable(problems),
    )


def _describe_explanation(folder: Path) -> tuple[str, ...]:
    from bench.tune import stored_explanation

    found, problems = stored_explanation.read_all(folder)
    return (
        _join(one.task.name for one in found),
        _join(f"{one.backend}/tuned" for one in found),
        str(max((one.launches for one in found), default=0)),
        f"explain, {'finished' if found else 'nothing yet'}" + _count_unreadable(problems),
    )


def _describe_merged(folder: Path) -> tuple[str, ...]:
    from bench.compare.merged_runs import read_merged

    runs = read_merged(folder)
    machines = len({run.machine_key for run in runs})
    return (
        _join(task.task.name for run in runs for task in run.tasks),
        _join(case.label.removesuffix("/default") for run in runs for task in run.tasks for case in task.cases),
        "–",
        f"merged: {len(runs)} runs of {machines} {'machine' if machines == 1 else 'machines'}"
        + _count_unreadable([problem for run in runs for problem in run.problems]),
    )


def _describe_targets(folder: Path) -> tuple[str, ...]:
    from bench.head_to_head import stored_targets
    from bench.head_to_head.target_standings import choose_outcome, find_standings

    result = stored_targets.read(folder)
    outcome = choose_outcome(find_standings(result))
    return (
        "–",
        _join(result.labels),
        str(len(result.launches)),
        f"run --target: {outcome}" + (", stopped" if result.stopped else ""),
    )


def _describe_roofline(folder: Path) -> tuple[str, ...]:
    from bench.roofline import roofline_file
    from bench.roofline.roofline_tables import format_case

    tasks = roofline_file.read(folder).tasks
    cases = [case for task in tasks for case in task.rooflines]
    died = sum(len(task.deaths) for task in tasks)
    bounds = _join(case.bound.name for case in cases if case.bound)
    return (
        _join(case.step.task.name for case in cases),
        _join(format_case(case).removesuffix("/default") for case in cases),
        str(max((task.launches for task in tasks), default=0)),
        f"roofline: bound by {bounds or 'what is not known'}" + (f", {died} died" if died else ""),
    )


def _join(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(filter(None, names))) or "–"


def _count_unreadable(problems: list[str]) -> str:
    return f", {len(problems)} unreadable" if problems else ""
