"""`bench gate --baseline`: measures the working tree as the baseline's run was measured, and compares the two."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from bench.analysis import run_as_baseline
from bench.analysis.run_as_baseline import Difference
from bench.analysis.warning_summary import sum_up_warnings
from bench.errors import UserError, make_unknown_error
from bench.gate import gate_report
from bench.gate.decision import DECISION_POINTS, Verdict
from bench.gate.gate_options import GateOptions
from bench.gate.gate_progress import GateProgress
from bench.gate.judgement import Judgement, judge_unpaired
from bench.machine.environment import describe_environment
from bench.measure import resume
from bench.measure.run import measure_launches
from bench.plan.plan import Plan, make_plan
from bench.plan.request import Request
from bench.plan.suite import Suite
from bench.records import baseline, store
from bench.records.baseline import ALLOWABLE_DIFFERENCES, Baseline
from bench.records.launch_figures import format_case_name
from bench.records.private_paths import shorten_all
from bench.records.record import Record
from bench.report.live.view_choice import open_view


def compare_with_baseline(
    options: GateOptions,
    margins: Mapping[str, float],
    request: Request,
    judgements: list[Judgement],
    progress: GateProgress,
) -> tuple[dict[str, object], list[str]]:
    """Measure and judge; return the facts about the comparison for the JSON file, and notes for people.

    Args:
        options: the options of the gate.
        margins: by metric.
        request: its backends and tasks select cases of the baseline; its paths, device and threads are used.
        judgements: the verdicts are added to it.
        progress: what shows it.

    Raises:
        UserError: the two cannot be compared; the message names each difference.
    """
    for kind in options.allow:
        if kind not in ALLOWABLE_DIFFERENCES:
            raise make_unknown_error("difference", kind, ALLOWABLE_DIFFERENCES)
    base = baseline.find(options.results, options.baseline or "")
    now, cases = _select_cases(base, request)
    chosen = make_plan(now)
    about: dict[str, Any] = describe_environment(chosen.default.threads, progress.say)
    notes = _accept_differences(
        options, [*run_as_baseline.find_machine_differences(base, about), *_find_other_experiments(chosen, cases)]
    )
    notes.append(
        f"Baseline {base.name} was measured at {base.measured}: if the machine behaves differently since then, no "
        "interval contains that. Comparing revisions side by side, with --against, is more reliable."
    )
    run = store.create_run(options.results, f"{chosen.suite.name}-gate", datetime.now(UTC))
    resume.write_request(run, replace(now, suite=chosen.suite.name))
    try:
        judgements += _measure_until_decided(options, margins, chosen, cases, run, about, progress)
    finally:
        progress.warn(f"The launches are kept in {run}")
    details: dict[str, object] = {
        "baseline": base.name,
        "run": base.run,
        "revision": base.revision,
        "allowed": list(options.allow),
        "launches": run.name,
    }
    return details, notes


def _select_cases(base: Baseline, request: Request) -> tuple[Request, dict[str, baseline.BaselineCase]]:
    """The request of the baseline's run, limited to the cases that `request` selects, and these cases by name.

    Raises:
        UserError: the baseline has none of these cases, or another version saved it.
    """
    cases = {
        case.case: case
        for case in base.cases
        if case.backend in (request.backends or [case.backend]) and case.task in (request.tasks or [case.task])
    }
    if not cases:
        raise UserError(f"baseline {base.name} has none of these cases; it has {', '.join(c.case for c in base.cases)}")
    try:
        suite = Suite.model_validate(base.suite)
        then = Request(suite=suite, **base.request)
    except (TypeError, ValidationError) as error:
        reason = f"its suite: {error.errors()[0]['msg']}" if isinstance(error, ValidationError) else error
        raise UserError(f"baseline {base.name} was saved by another version ({reason}): save it again") from None
    names = tuple(dict.fromkeys(case.backend for case in cases.values()))
    now = replace(
        then,
        backends=names,
        tasks=tuple(request.tasks) or then.tasks,
        relative_to=then.relative_to if then.relative_to in names else names[0],
        data_dir=request.data_dir,
        images=request.images,
        checkpoint=request.checkpoint,
        device=request.device,
        threads=request.threads,
        launches=DECISION_POINTS[0],
        until=None,
        max_time=None,
        results=request.results,
    )
    return now, cases


def _find_other_experiments(chosen: Plan, cases: Mapping[str, baseline.BaselineCase]) -> list[Difference]:
    """How the experiments differ.

    Raises:
        UserError: the baseline has a case that cannot be measured now. A missing case does not pass.
    """
    now = {}
    for prepared in chosen.tasks:
        for backend in chosen.backends:
            one = run_as_baseline.identify_case(
                prepared.task, backend, chosen.default, prepared.dataset.fingerprint, prepared.checkpoint.sha256
            )
            now[one["case"]] = one
    if missing := [case for case in cases if case not in now]:
        skipped = "; ".join(f"{name}: {why}" for name, why in chosen.skipped.items())
        raise UserError(
            f"cannot compare: the baseline has cases that cannot be measured here ({', '.join(missing)})"
            f"{f' ({skipped})' if skipped else ''}: name the others with --backend and --task"
        )
    return [
        line for case in cases.values() for line in run_as_baseline.find_experiment_differences(case, now[case.case])
    ]


def _accept_differences(options: GateOptions, found: Sequence[Difference]) -> list[str]:
    """A note for each difference, if all are allowed.

    Raises:
        UserError: some are not allowed.
    """
    not_allowed = [difference for difference in found if difference.kind not in options.allow]
    if not_allowed:
        kinds = [kind for kind in ALLOWABLE_DIFFERENCES if any(difference.kind == kind for difference in not_allowed)]
        remedy = f"accept them with {' '.join(f'--allow {kind}' for kind in kinds)}, or " if kinds else ""
        if any(difference.kind == "experiment" for difference in not_allowed):
            remedy = ""  # another experiment cannot be accepted
        lines = "; ".join(difference.line for difference in not_allowed)
        raise UserError(
            f"cannot compare with baseline {options.baseline}: {lines}: "
            f"{remedy}save a baseline of this machine and experiment"
        )
    return [f"Accepted ({difference.kind}): {difference.line}" for difference in found]


def _measure_until_decided(
    options: GateOptions,
    margins: Mapping[str, float],
    chosen: Plan,
    cases: Mapping[str, baseline.BaselineCase],
    run: Path,
    about: dict[str, Any],
    progress: GateProgress,
) -> list[Judgement]:
    """Measure launches until every case has a verdict or `--max-time` is over, and judge them.

    Raises:
        UserError: a worker died.
    """
    about["run"] = {"suite": chosen.suite.model_dump(mode="json"), "skipped": shorten_all(chosen.skipped)}
    start = time.monotonic()
    records: list[Record] = []

    def judge(of_task: Sequence[Record], last: bool) -> list[Judgement]:
        by_case: dict[str, list[Record]] = {}
        for record in of_task:
            if record.failure:
                case = format_case_name(record.backend, record.variant, record.task)
                raise UserError(f"cannot compare: {case} died in {record.failure.phase}: {record.failure.reason}")
            by_case.setdefault(format_case_name(record.backend, record.variant, record.task), []).append(record)
        found = []
        for name, own in by_case.items():
            base = [launch.to_figures(name) for launch in cases[name].launches]
            one = judge_unpaired(
                base, [run_as_baseline.extract_run_figures(r) for r in own], margins, len(cases), options.alpha, last
            )
            proofs = {r.proof.reason for r in own if r.proof and r.proof.status == "failed"}
            failures = (*one.failures, *(f"parity failed: {reason}" for reason in proofs))
            summed_up = sum_up_warnings([{name: record.warnings} for record in own])
            found.append(replace(one, failures=failures, seconds=time.monotonic() - start, warnings=summed_up))
        return found

    def enough(of_task: Sequence[Record]) -> bool:
        time_is_over = options.max_time is not None and time.monotonic() - start > options.max_time
        found = judge(of_task, last=False)
        for one in found:
            view.print_line(gate_report.format_progress(one))
            progress.note_pair(one)
        return time_is_over or all(one.verdict is not Verdict.OPEN for one in found)

    def keep(record: Record) -> None:
        try:
            store.write_record(run, record)
        except UserError as error:
            view.print_line(f"warning: {error}")

    for name in cases:
        progress.start_case(name, "the working tree", f"baseline {options.baseline}")
    with open_view(Console(stderr=True, quiet=progress.quiet), chosen) as view:
        for launch in measure_launches(chosen, run, about, view, enough, keep, DECISION_POINTS[-1]):
            records += launch
    judged = [
        one
        for position in range(len(chosen.tasks))
        for one in judge([record for record in records if record.position == position], last=True)
    ]
    for one in judged:
        progress.note_verdict(one)
    return judged
