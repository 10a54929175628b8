"""A gate, from its options to the exit status: both arms measured until there is a verdict."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.analysis.metrics import resolve_margins
from bench.errors import UserError
from bench.gate import base_environment, gate_report, slower_part, source_trees
from bench.gate.baseline_comparison import compare_with_baseline
from bench.gate.decision import DECISION_POINTS, Verdict
from bench.gate.gate_options import GateOptions
from bench.gate.judgement import Judgement, LaunchPair, judge_pairs
from bench.gate.launch_pairs import GatedCase, TargetTest, TrainingCase, measure_pairs
from bench.gate.source_trees import BASE, HEAD, SourceTree
from bench.machine.environment import PROJECT
from bench.measure.machine_lock import hold_lock
from bench.measure.silent_progress import SilentProgress
from bench.plan.plan import make_default_variant, make_plan
from bench.plan.request import Request
from bench.plan.suite import load

#: Judgements of all cases, details of what was compared, and notes.
Found = tuple[list[Judgement], dict[str, object], list[str]]
#: Exit statuses; 2 is for what cannot be compared, as for every mistake.
STATUS = {"PASS": 0, "FASTER": 0, "SLOWER": 1, "UNDECIDED": 3}


def decide(
    ask: GateOptions, request: Request, *, undecided: str | None, files: gate_report.ReportFiles, wait: bool
) -> int:
    """Print a verdict a case, and what decided it.

    The exit status is 0 where nothing that matters became worse; 1 where something did; 3 where it stayed open, or
    what `undecided` makes of that: `pass` or `fail`.

    Args:
        ask: what to compare.
        undecided: `pass` or `fail`; None is a status of its own.
        files: to write.
        wait: for another measurement.
        request: what is measured.

    Raises:
        UserError: it cannot be compared: the user's mistake, or a worker that died.
    """

    console, progress = Console(), Console(stderr=True)
    ask.check()
    fields = [f"--{name.replace('_', '-')}" for name in request.overrides]
    chosen = [name for name, given in (("--task", request.tasks), ("--backend", request.backends)) if given]
    if ask.target and (chosen or fields):
        raise UserError(f"--target is a test of its own: leave out {', '.join((*chosen, *fields))}")
    if ask.baseline and fields:
        raise UserError(f"--baseline has the fields of its own tasks: leave out {', '.join(fields)}")
    asked = resolve_margins(ask.margin)
    gate_report.check_writable(files)

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False, soft_wrap=True)

    def machine() -> AbstractContextManager[None]:
        return hold_lock("bench gate", wait, say)

    if ask.baseline:
        with machine():
            judged, told, notes = compare_with_baseline(ask, asked, request, say)
    else:
        judged, told, notes = _side_by_side(ask, asked, request, machine, say)
    about = gate_report.Comparison(_against(ask), told, asked, ask.alpha, notes)
    for case in judged:
        for line in gate_report.format_lines(case, asked):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    gate_report.write_files(files, about, judged)
    return exit_status([case.verdict for case in judged], undecided)


def _against(ask: GateOptions) -> str:
    return ask.against or (f"baseline {ask.baseline}" if ask.baseline else ", ".join(ask.packages))


def _side_by_side(
    ask: GateOptions,
    asked: dict[str, float],
    request: Request,
    machine: Callable[[], AbstractContextManager[None]],
    say: gate_report.PrintLine,
) -> Found:
    """Judge what runs in two arms; no case where nothing has changed, for which nobody has to be alone."""

    with tempfile.TemporaryDirectory(prefix="head-to-head-") as name:
        scratch = Path(name)
        top = source_trees.find_repository(Path.cwd() if ask.target else PROJECT)
        file = ask.target.partition("::")[0] if ask.target else source_trees.WORKER_FILE
        if ask.target and not (top / file).is_file():
            raise UserError(f"cannot compare: the working tree has no {file}: name a test as {top.name} sees it")
        commit = source_trees.resolve_revision(top, ask.against, file) if ask.against else None
        trees = source_trees.check_out(top, commit, scratch)
        if ask.skip_unchanged and (trees[0] == trees[1] if ask.target else source_trees.is_unchanged(scratch)):
            passed = f"Passed: nothing that training depends on has changed since {ask.against}."
            return [], {"commit": commit, "trees": {"base": trees[0], "head": trees[1]}}, [passed]
        with machine():
            arms = _arms(ask, commit, scratch, say)
            measured = list(_measured(ask, top, arms, request))
            for source in arms.values():
                source_trees.compile_byte_code(source, *(["."] if ask.target else []))
            judged, notes = _judged(measured, arms, ask, asked, say)
    told: dict[str, object] = {"commit": commit, "trees": {"base": trees[0], "head": trees[1]}}
    return judged, {**told, "packages": list(ask.packages)}, notes


def _arms(ask: GateOptions, commit: str | None, scratch: Path, say: gate_report.PrintLine) -> dict[str, SourceTree]:
    """The sources and interpreters of both."""

    if ask.packages:
        for requirement in ask.packages:
            base_environment.parse_package_name(requirement)
        python = base_environment.make_overlay(ask.packages, say)
        base = SourceTree(scratch / BASE, python, ", ".join(ask.packages))
    else:
        if ask.base_env:
            python = base_environment.find_interpreter(ask.base_env)
        else:
            python = base_environment.choose_interpreter(scratch / BASE, scratch / HEAD, say)
        base = SourceTree(scratch / BASE, python, f"{(commit or '')[:7]} ({ask.against})")
    return {BASE: base, HEAD: SourceTree(scratch / HEAD, Path(sys.executable), "the working tree")}


def _measured(ask: GateOptions, top: Path, arms: dict[str, SourceTree], request: Request) -> Iterator[GatedCase[Any]]:
    """The cases, by the head's suite.

    Raises:
        UserError: the base has a case that the head lacks.
    """

    if ask.target:
        thoroughness = load(str(request.suite))
        variant = make_default_variant(request)
        yield TargetTest(ask.target, top, variant, thoroughness.rounds, thoroughness.round_seconds)
        return
    chosen = make_plan(request)
    if not ask.packages:
        _refuse_missing(arms, request)
    for prepared in chosen.tasks:
        for backend in chosen.backends:
            yield TrainingCase(chosen, prepared, backend)


def _refuse_missing(arms: dict[str, SourceTree], request: Request) -> None:
    """A case that is gone is no pass."""

    suite = str(request.suite)
    suite = str(Path(suite).absolute()) if suite.endswith(".toml") else suite
    base, head = (source_trees.list_cases(arms[arm], suite) for arm in (BASE, HEAD))
    wanted = {
        (backend, task)
        for backend, task in (base or set()) - (head or set())
        if backend in (request.backends or [backend]) and task in (request.tasks or [task])
    }
    if base and head and wanted:
        gone = ", ".join(f"{backend} {task}" for backend, task in sorted(wanted))
        raise UserError(
            f"cannot compare: {arms[BASE].name} has cases that the working tree lacks ({gone}): "
            "bring them back, or name the others with --backend and --task"
        )


def _judged(
    measured: Sequence[GatedCase[Any]],
    arms: dict[str, SourceTree],
    ask: GateOptions,
    asked: dict[str, float],
    say: gate_report.PrintLine,
) -> tuple[list[Judgement], list[str]]:

    end = None if ask.max_time is None else time.monotonic() + ask.max_time
    found, notes = [], []
    for position, case in enumerate(measured):
        say(f"{case.name}: {arms[HEAD].name} against {arms[BASE].name}")
        left = None if end is None else max(0.0, end - time.monotonic()) / (len(measured) - position)
        pairs = measure_pairs(case, arms, SilentProgress(say))
        found.append(until_verdict(pairs, case.name, asked, len(measured), ask.alpha, left, say))
        if found[-1].verdict is Verdict.SLOWER and isinstance(case, TrainingCase):
            say(f"{case.name}: where the time goes, in both")
            notes += slower_part.find_slower_part(case, arms, SilentProgress(say))
    return found, notes


def until_verdict(
    pairs: Iterator[LaunchPair],
    name: str,
    asked: dict[str, float],
    cases: int,
    alpha: float,
    budget: float | None,
    say: gate_report.PrintLine,
) -> Judgement:
    """Launch pairs until there is a verdict, or the time is over.

    Raises:
        UserError: the time does not suffice for the first decision point, or there is nothing to compare.
    """

    done: list[LaunchPair] = []
    began = time.monotonic()
    for pair in pairs:
        done.append(pair)
        spent = time.monotonic() - began
        if budget is not None and len(done) == 1 and spent * DECISION_POINTS[0] > budget:
            raise UserError(
                f"--max-time leaves {name} {budget:.0f} s, and {DECISION_POINTS[0]} launch pairs, "
                f"the fewest for a verdict, take about {spent * DECISION_POINTS[0]:.0f} s here: allow more"
            )
        late = budget is not None and spent + spent / len(done) > budget
        judged = judge_pairs(done, asked, cases, alpha, last=late)
        if not judged.decisions and not judged.failures:
            raise UserError(f"cannot compare: base and head measured nothing of {name} in common")
        say(gate_report.format_progress(judged))
        if judged.verdict is not Verdict.OPEN:
            break
    return replace(judged, seconds=time.monotonic() - began)


def exit_status(verdicts: Sequence[Verdict], undecided: str | None) -> int:
    """The exit status of a gate: any case that is slower fails it; then, any that is undecided leaves it so."""
    statuses = {STATUS[verdict.name] for verdict in verdicts}
    if 1 in statuses:
        return 1
    return {"pass": 0, "fail": 1, None: 3}[undecided] if 3 in statuses else 0
