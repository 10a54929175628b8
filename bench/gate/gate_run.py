"""The run of a gate, from its options to its exit status: base and head are measured until there is a verdict."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.analysis.metrics import resolve_margins
from bench.analysis.warning_rules import RULES
from bench.analysis.warnings import check_variables
from bench.errors import UserError
from bench.gate import base_environment, gate_output, gate_report, slower_part, source_trees
from bench.gate.baseline_comparison import compare_with_baseline
from bench.gate.clone import refuse_foreign_suite, run_in_clone
from bench.gate.decision import DECISION_POINTS, Verdict
from bench.gate.gate_options import GateOptions
from bench.gate.gate_progress import GateProgress
from bench.gate.judgement import Judgement, LaunchPair, judge_pairs, needs_start_up
from bench.gate.launch_pairs import GatedCase, TargetTest, TrainingCase, measure_pairs
from bench.gate.located_test import LocatedTest, locate_test
from bench.gate.source_trees import BASE, HEAD, SourceTree
from bench.machine.environment import describe_environment, list_disobeyed_variables
from bench.machine.variables import make_worker_variables
from bench.measure.machine_lock import hold_lock
from bench.measure.scratch_folder import make_scratch_folder
from bench.plan.plan import explain_threads, make_default_variant, make_plan
from bench.plan.request import Request
from bench.plan.several_devices import refuse_several_devices
from bench.plan.suite import load
from bench.records.private_paths import shorten_all, shorten_command, shorten_path, shorten_paths
from bench.report.live.silent_progress import SilentProgress

#: The facts about a comparison for the JSON file, and notes for people.
GateResult = tuple[dict[str, object], list[str]]
#: The exit status of each verdict. 2 is left for what cannot be compared, as for every mistake.
EXIT_STATUSES = {Verdict.PASS: 0, Verdict.FASTER: 0, Verdict.SLOWER: 1, Verdict.UNDECIDED: 3}


def run_gate(
    options: GateOptions,
    request: Request,
    *,
    undecided: str | None,
    files: gate_report.ReportFiles,
    wait: bool,
    progress: GateProgress = GateProgress(),  # noqa: B008
) -> int:
    """Run a gate, and print the verdict on each case with its figures.

    The exit status is 0 if nothing that matters became worse; 1 if something did; 3 if a verdict is undecided, unless
    `undecided` maps that to 0 or 1.

    Args:
        options: what to compare, and how to decide.
        request: the tasks, backends and device.
        undecided: `pass`, `fail`, or None for exit status 3.
        files: the files to write.
        wait: wait for another measurement on this machine to end.
        progress: what shows it.

    Raises:
        UserError: the two cannot be compared: the options have a mistake, or a worker died.
    """
    console, say = progress.verdicts, progress.say
    options.check()
    for requirement in options.packages:
        base_environment.check_version(requirement)
    fields = [f"--{name.replace('_', '-')}" for name in request.overrides]
    choices = {
        "--task": request.tasks,
        "--backend": request.backends,
        "--data-dir": request.data_dir,
        "--images": request.images,
        "--checkpoint": request.checkpoint,
    }
    selected = [name for name, given in choices.items() if given]
    if options.target and (selected or fields):
        raise UserError(f"--target measures a test in place of tasks: leave out {', '.join((*selected, *fields))}")
    if options.baseline and fields:
        raise UserError(f"--baseline sets the fields of its tasks: leave out {', '.join(fields)}")
    if not (options.target or options.baseline):
        refuse_several_devices(request, "bench gate")
    margins = resolve_margins(options.margin)

    if not options.target:
        run_in_clone(options, say)
    gate_report.check_writable(files)
    if threads_note := explain_threads(request):
        say(threads_note)

    def lock_machine() -> AbstractContextManager[None]:
        return hold_lock("bench gate", wait, progress.warn)

    judgements: list[Judgement] = []
    started = datetime.now(UTC)

    def keep_result(comparison: gate_report.Comparison, stopped: str | None = None) -> None:
        if judgements:
            about = {**describe_environment(), "run": {"command": shorten_command(sys.argv[1:])}}
            launches = comparison.details.get("launches")
            folder = options.results / str(launches) if launches else None
            gate_output.keep(options.results, folder, started, about, comparison, judgements, stopped, progress.warn)

    try:
        if options.baseline:
            with lock_machine():
                details, notes = compare_with_baseline(options, margins, request, judgements, progress)
        else:
            details, notes = _compare_side_by_side(options, margins, request, judgements, lock_machine, progress)
    except BaseException as error:  # whatever ends it, the verdicts that are reached are shown and kept
        _print_verdicts(console, judgements, margins, progress.quiet)
        comparison = gate_report.Comparison(_describe_base(options), {}, margins, options.alpha)
        keep_result(comparison, str(error) or "stopped")
        progress.finish(comparison, judgements, str(error) or "stopped")
        raise
    _print_verdicts(console, judgements, margins, progress.quiet)
    if judgements and not options.target and not options.baseline:  # a baseline's launches have it as a warning
        notes = [*notes, *_list_variable_notes(request)]
    for note in () if progress.quiet else notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    comparison = gate_report.Comparison(_describe_base(options), details, margins, options.alpha, notes)
    for problem in gate_report.write_files(files, comparison, judgements):
        progress.warn(problem)
    keep_result(comparison)
    progress.finish(comparison, judgements, None)
    return choose_exit_status([judgement.verdict for judgement in judgements], undecided)


def _print_verdicts(
    console: Console, judgements: Sequence[Judgement], margins: Mapping[str, float], brief: bool
) -> None:
    for judgement in judgements:
        lines = gate_report.format_lines(judgement, margins)
        for line in lines[:1] if brief else lines:
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def _list_variable_notes(request: Request) -> Iterator[str]:
    """List the environment variables that workers do not have as they are set; a target's workers have them."""
    variables = make_worker_variables(os.environ, make_default_variant(request).threads or 1)
    for name, evidence in check_variables(list_disobeyed_variables(os.environ, variables)):
        yield f"warning {name}: {evidence}; {RULES[name][1]}"


def _describe_base(options: GateOptions) -> str:
    if options.baseline:
        return f"baseline {shorten_path(options.baseline)}"
    return options.against or shorten_paths(", ".join(options.packages))


def _compare_side_by_side(
    options: GateOptions,
    margins: dict[str, float],
    request: Request,
    judgements: list[Judgement],
    lock_machine: Callable[[], AbstractContextManager[None]],
    progress: GateProgress,
) -> GateResult:
    """Measure base and head in the same launches, and add each verdict to `judgements`. With `skip_unchanged`, nothing
    is measured or locked if the two have the same files."""
    with make_scratch_folder() as scratch:
        folder = (options.repository or Path.cwd()).absolute()
        top = source_trees.find_repository(folder)
        test = locate_test(options.target, folder, top) if options.target else None
        file = str(test.file) if test else source_trees.WORKER_FILE
        commit = source_trees.resolve_revision(top, options.against, file) if options.against else None
        trees = source_trees.check_out(top, commit, scratch)
        if options.skip_unchanged and (trees[0] == trees[1] if options.target else source_trees.is_unchanged(scratch)):
            passed = f"Passed: nothing that training depends on has changed since {options.against}."
            return {"commit": commit, "trees": {"base": trees[0], "head": trees[1]}}, [passed]
        with lock_machine():
            arms = {
                arm: replace(tree, repository=top)
                for arm, tree in _make_arms(options, commit, scratch, progress.say).items()
            }
            cases = list(_list_cases(options, test, top, arms, request))
            for source in arms.values():
                source_trees.compile_byte_code(source, *(["."] if options.target else []))
            notes = _judge_cases(cases, arms, options, margins, judgements, progress)
    details: dict[str, object] = {"commit": commit, "trees": {"base": trees[0], "head": trees[1]}}
    return {**details, "packages": shorten_all(list(options.packages))}, notes


def _make_arms(
    options: GateOptions, commit: str | None, scratch: Path, say: gate_report.PrintLine
) -> dict[str, SourceTree]:
    """Make the files and the interpreter of the base and the head."""
    if options.packages:
        python = base_environment.make_overlay(options.packages, say)
        base = SourceTree(scratch / BASE, python, ", ".join(options.packages))
    else:
        if options.base_env:
            python = base_environment.find_interpreter(options.base_env)
        else:
            python = base_environment.choose_interpreter(scratch / BASE, scratch / HEAD, say)
        base = SourceTree(scratch / BASE, python, f"{(commit or '')[:7]} ({options.against})")
    return {BASE: base, HEAD: SourceTree(scratch / HEAD, Path(sys.executable), "the working tree")}


def _list_cases(
    options: GateOptions, test: LocatedTest | None, top: Path, arms: dict[str, SourceTree], request: Request
) -> Iterator[GatedCase[Any]]:
    """The cases of the head's suite, or the one test that is measured in place of tasks.

    Raises:
        UserError: the base has a case that the head lacks.
    """
    if test:
        suite = load(str(request.suite))
        variant = make_default_variant(request)
        yield TargetTest(
            test.name,
            top,
            test.file,
            test.start_folder,
            options.pytest_arguments,
            variant,
            suite.rounds,
            suite.round_seconds,
        )
        return
    for source in arms.values():
        refuse_foreign_suite(source)
    plan = make_plan(request)
    if not options.packages:
        _refuse_missing_cases(arms, request)
    for prepared in plan.tasks:
        for backend in plan.backends:
            yield TrainingCase(plan, prepared, backend)


def _refuse_missing_cases(arms: dict[str, SourceTree], request: Request) -> None:
    """Refuse to compare if a selected case of the base no longer exists: that would pass unnoticed."""
    suite = str(request.suite)
    suite = str(Path(suite).absolute()) if suite.endswith(".toml") else suite
    base, head = (source_trees.list_cases(arms[arm], suite) for arm in (BASE, HEAD))
    missing = {
        (backend, task)
        for backend, task in (base or set()) - (head or set())
        if backend in (request.backends or [backend]) and task in (request.tasks or [task])
    }
    if base and head and missing:
        names = ", ".join(f"{backend} {task}" for backend, task in sorted(missing))
        raise UserError(
            f"cannot compare: {arms[BASE].name} has cases that the working tree lacks ({names}): "
            "restore them, or select the others with --backend and --task"
        )


def _judge_cases(
    cases: Sequence[GatedCase[Any]],
    arms: dict[str, SourceTree],
    options: GateOptions,
    margins: dict[str, float],
    judgements: list[Judgement],
    progress: GateProgress,
) -> list[str]:
    """Judge the cases one after the other, add each verdict to `judgements`, and return notes for people."""
    end = None if options.max_time is None else time.monotonic() + options.max_time
    notes, say = [], progress.say
    for position, case in enumerate(cases):
        progress.start_case(case.name, arms[HEAD].name, arms[BASE].name)
        left = None if end is None else max(0.0, end - time.monotonic()) / (len(cases) - position)
        needs_start = partial(needs_start_up, margins=margins, cases=len(cases), alpha=options.alpha)
        pairs = measure_pairs(case, arms, SilentProgress(say), needs_start)
        verdict = measure_until_verdict(
            pairs, case.name, margins, len(cases), options.alpha, left, say, progress.note_pair
        )
        judgements.append(verdict)
        progress.note_verdict(verdict)
        if judgements[-1].verdict is Verdict.SLOWER and isinstance(case, TrainingCase):
            say(f"{case.name}: measuring which part of a step became slower")
            notes += slower_part.find_slower_part(case, arms, SilentProgress(say))
    return notes


def measure_until_verdict(
    pairs: Iterator[LaunchPair],
    name: str,
    margins: dict[str, float],
    cases: int,
    alpha: float,
    budget: float | None,
    say: gate_report.PrintLine,
    note_pair: Callable[[Judgement], object] = lambda judgement: None,
) -> Judgement:
    """Take launch pairs until there is a verdict, or the time is over.

    Args:
        pairs: measures a pair for each item that is taken.
        name: of the case, for messages.
        margins: by metric.
        cases: number of cases that are gated together.
        alpha: see `bench.gate.decision.decide`.
        budget: seconds; None for no limit.
        say: called with each line of progress.
        note_pair: called with the judgement after each pair.

    Raises:
        UserError: the budget is too small for the first decision point, or there is nothing to compare.
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
        last = budget is not None and spent + spent / len(done) > budget
        judgement = judge_pairs(done, margins, cases, alpha, last=last)
        if not judgement.decisions and not judgement.failures:
            raise UserError(f"cannot compare: base and head have no metric of {name} in common")
        say(gate_report.format_progress(judgement))
        note_pair(judgement)
        if judgement.verdict is not Verdict.OPEN:
            break
    return replace(judgement, seconds=time.monotonic() - began)


def choose_exit_status(verdicts: Sequence[Verdict], undecided: str | None) -> int:
    """Choose the exit status of a gate: of a slower case if there is one, else of an undecided one, else 0."""
    statuses = {EXIT_STATUSES[verdict] for verdict in verdicts}
    if 1 in statuses:
        return 1
    return {"pass": 0, "fail": 1, None: 3}[undecided] if 3 in statuses else 0
