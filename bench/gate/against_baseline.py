"""`bench gate --baseline`: the head measured as the baseline's run was, and compared with what that measured then."""

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
from bench.errors import UserError, unknown
from bench.gate import gate_report
from bench.gate.decision import LOOKS, Verdict
from bench.gate.gate_options import Ask
from bench.gate.judgement import Judged, judge_apart
from bench.machine.environment import environment
from bench.measure import resume
from bench.measure.progress import Progress
from bench.measure.run import compare
from bench.plan.request import Plan, Request, plan
from bench.plan.suite import Suite
from bench.records import baseline, store
from bench.records.baseline import ALLOWED, Baseline
from bench.records.launch_figures import name_of
from bench.records.record import Record


def against_baseline(
    ask: Ask, asked: Mapping[str, float], request: Request, say: gate_report.Say
) -> tuple[list[Judged], dict[str, object], list[str]]:
    """The verdicts, what was compared for machines, and notes for people.

    Args:
        ask: the options of the gate.
        asked: margins by metric.
        request: of which backends, tasks, paths and threads narrow what the baseline's run had.
        say: told of progress.

    Raises:
        UserError: it cannot be compared, each difference named.
    """
    for kind in ask.allow:
        if kind not in ALLOWED:
            raise unknown("difference", kind, ALLOWED)
    base = baseline.find(ask.results, ask.baseline or "")
    about: dict[str, Any] = environment()
    now, cases = _narrowed(base, request)
    chosen = plan(now)
    notes = _accepted(ask, [*run_as_baseline.differences(base, about), *_other(chosen, cases)])
    notes.append(
        f"Baseline {base.name} was measured at {base.measured}: what the machine does otherwise since then is in no "
        "interval. Revisions side by side, --against, are the surer comparison."
    )
    run = store.create(ask.results, f"{chosen.suite.name}-gate", datetime.now(UTC))
    resume.keep(run, replace(now, suite=chosen.suite.name))
    judged = _measure(ask, asked, chosen, cases, run, about)
    say(f"The launches are kept in {run}")
    told: dict[str, object] = {
        "baseline": base.name,
        "run": base.run,
        "revision": base.revision,
        "allowed": list(ask.allow),
    }
    return judged, told, notes


def _narrowed(base: Baseline, request: Request) -> tuple[Request, dict[str, baseline.Case]]:
    """What the baseline's run was asked for, less what was not asked for; and its cases by name."""
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
        raise UserError(
            f"baseline {base.name} was saved by another version ({str(error).splitlines()[0]}): save it anew"
        ) from None
    names = tuple(dict.fromkeys(case.backend for case in cases.values()))
    now = replace(
        then,
        backends=names,
        tasks=tuple(request.tasks) or then.tasks,
        relative_to=then.relative_to if then.relative_to in names else names[0],
        data_dir=request.data_dir,
        checkpoint=request.checkpoint,
        device=request.device,
        threads=request.threads,
        launches=LOOKS[0],
        until=None,
        max_time=None,
        results=request.results,
    )
    return now, cases


def _other(chosen: Plan, cases: Mapping[str, baseline.Case]) -> list[Difference]:
    """How the experiments differ; a case that is gone is no pass.

    Raises:
        UserError: the baseline has a case that cannot be measured now.
    """
    now = {}
    for prepared in chosen.tasks:
        for backend in chosen.backends:
            one = run_as_baseline.identity(
                prepared.task, backend, chosen.default, prepared.dataset.fingerprint, prepared.checkpoint.sha256
            )
            now[one["case"]] = one
    if gone := [case for case in cases if case not in now]:
        skipped = "; ".join(f"{name}: {why}" for name, why in chosen.skipped.items())
        raise UserError(
            f"cannot compare: the baseline has cases that cannot be measured here ({', '.join(gone)})"
            f"{f' ({skipped})' if skipped else ''}: name the others with --backend and --task"
        )
    return [line for case in cases.values() for line in run_as_baseline.other_experiment(case, now[case.case])]


def _accepted(ask: Ask, found: Sequence[Difference]) -> list[str]:
    """A note for each difference that was allowed.

    Raises:
        UserError: some were not.
    """
    refused = [difference for difference in found if difference.kind not in ask.allow]
    if refused:
        kinds = [kind for kind in ALLOWED if any(difference.kind == kind for difference in refused)]
        way = f"accept them with {' '.join(f'--allow {kind}' for kind in kinds)}, or " if kinds else ""
        if any(difference.kind == "experiment" for difference in refused):
            way = ""  # another experiment cannot be accepted
        raise UserError(
            f"cannot compare with baseline {ask.baseline}: {'; '.join(difference.line for difference in refused)}: "
            f"{way}save a baseline of this machine and experiment"
        )
    return [f"Accepted ({difference.kind}): {difference.line}" for difference in found]


def _measure(
    ask: Ask,
    asked: Mapping[str, float],
    chosen: Plan,
    cases: Mapping[str, baseline.Case],
    run: Path,
    about: dict[str, Any],
) -> list[Judged]:
    """Launches until there is a verdict, or the time is over."""
    about["run"] = {"suite": chosen.suite.model_dump(mode="json"), "skipped": chosen.skipped}
    began = time.monotonic()
    records: list[Record] = []

    def judge(of_task: Sequence[Record], last: bool) -> list[Judged]:
        by_case: dict[str, list[Record]] = {}
        for record in of_task:
            if record.failure:
                raise UserError(
                    f"cannot compare: {record.case} died in {record.failure.phase}: {record.failure.reason}"
                )
            by_case.setdefault(name_of(record.backend, record.variant, record.task), []).append(record)
        found = []
        for name, own in by_case.items():
            base = [launch.figures(name) for launch in cases[name].launches]
            one = judge_apart(base, [run_as_baseline.figures_of(r) for r in own], asked, len(cases), ask.alpha, last)
            proofs = {r.proof.reason for r in own if r.proof and r.proof.status == "failed"}
            broken = (*one.broken, *(f"parity failed: {reason}" for reason in proofs))
            found.append(replace(one, broken=broken, seconds=time.monotonic() - began))
        return found

    def enough(of_task: Sequence[Record]) -> bool:
        late = ask.max_time is not None and time.monotonic() - began > ask.max_time
        found = judge(of_task, last=False)
        for one in found:
            console.print(gate_report.so_far(one), highlight=False, markup=False, soft_wrap=True)
        return late or all(one.verdict is not Verdict.OPEN for one in found)

    console = Console(stderr=True)
    with Progress(console, chosen) as progress:
        for launch in compare(chosen, run, about, progress, enough):
            records += launch
    return [
        one
        for position in range(len(chosen.tasks))
        for one in judge([record for record in records if record.position == position], last=True)
    ]
