"""`bench gate`: did this change slow training down? Measured side by side, decided as soon as it can be."""

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

from bench.analysis.metrics import margins
from bench.errors import UserError
from bench.gate import base_environment, gate_report, slower_part, source_trees
from bench.gate.against_baseline import against_baseline
from bench.gate.decision import LOOKS, Verdict
from bench.gate.gate_options import Ask
from bench.gate.judgement import Judged, Pair, judge
from bench.gate.launch_pairs import Case, Measured, Target, measure
from bench.gate.source_trees import BASE, HEAD, Source
from bench.machine.environment import PROJECT
from bench.measure.machine_lock import alone
from bench.measure.quiet_progress import Quiet
from bench.plan.request import Request, default_of, plan
from bench.plan.suite import load

#: Exit statuses; 2 is for what cannot be compared, as for every mistake.
STATUS = {Verdict.PASS: 0, Verdict.FASTER: 0, Verdict.SLOWER: 1, Verdict.UNDECIDED: 3}


def gate(ask: Ask, *, undecided: str | None, files: gate_report.Files, wait: bool, **options: Any) -> int:
    """Print a verdict a case, and what decided it.

    The exit status is 0 where nothing that matters became worse; 1 where something did; 3 where it stayed open, or
    what `undecided` makes of that: `pass` or `fail`.

    Args:
        ask: what to compare.
        undecided: `pass` or `fail`; None is a status of its own.
        files: to write.
        wait: for another measurement.
        options: of `bench.plan.request.Request`.

    Raises:
        UserError: it cannot be compared: the user's mistake, or a worker that died.
    """
    console, progress = Console(), Console(stderr=True)
    ask.check()
    if ask.target and (options["tasks"] or options["backends"]):
        raise UserError("--target is a test of its own: leave out --task and --backend")
    asked = margins(ask.margin)
    gate_report.check(files)

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False, soft_wrap=True)

    def machine() -> AbstractContextManager[None]:
        return alone("bench gate", wait, say)

    if ask.baseline:
        with machine():
            judged, told, notes = against_baseline(ask, asked, Request(**options, results=ask.results), say)
    else:
        judged, told, notes = _side_by_side(ask, asked, options, machine, say)
    about = gate_report.About(_against(ask), told, asked, ask.alpha, notes)
    for case in judged:
        for line in gate_report.lines(case, asked):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    gate_report.write(files, about, judged)
    return exit_status([case.verdict for case in judged], undecided)


def _against(ask: Ask) -> str:
    return ask.against or (f"baseline {ask.baseline}" if ask.baseline else ", ".join(ask.packages))


Found = tuple[list[Judged], dict[str, object], list[str]]


def _side_by_side(
    ask: Ask,
    asked: dict[str, float],
    options: dict[str, Any],
    machine: Callable[[], AbstractContextManager[None]],
    say: gate_report.Say,
) -> Found:
    """Judge what runs in two arms; no case where nothing has changed, for which nobody has to be alone."""
    with tempfile.TemporaryDirectory(prefix="head-to-head-") as name:
        scratch = Path(name)
        top = source_trees.repository(Path.cwd() if ask.target else PROJECT)
        file = ask.target.partition("::")[0] if ask.target else source_trees.WORKER
        if ask.target and not (top / file).is_file():
            raise UserError(f"cannot compare: the working tree has no {file}: name a test as {top.name} sees it")
        commit = source_trees.revision(top, ask.against, file) if ask.against else None
        trees = source_trees.check_out(top, commit, scratch)
        if ask.skip_unchanged and (trees[0] == trees[1] if ask.target else source_trees.unchanged(scratch)):
            passed = f"Passed: nothing that training depends on has changed since {ask.against}."
            return [], {"commit": commit, "trees": {"base": trees[0], "head": trees[1]}}, [passed]
        with machine():
            arms = _arms(ask, commit, scratch, say)
            measured = list(_measured(ask, top, arms, options))
            for source in arms.values():
                source_trees.compiled(source, *(["."] if ask.target else []))
            judged, notes = _judged(measured, arms, ask, asked, say)
    told: dict[str, object] = {"commit": commit, "trees": {"base": trees[0], "head": trees[1]}}
    return judged, {**told, "packages": list(ask.packages)}, notes


def _arms(ask: Ask, commit: str | None, scratch: Path, say: gate_report.Say) -> dict[str, Source]:
    """The sources and interpreters of both."""
    if ask.packages:
        for requirement in ask.packages:
            base_environment.name_of(requirement)
        python = base_environment.overlay(ask.packages, say)
        base = Source(scratch / BASE, python, ", ".join(ask.packages))
    else:
        if ask.base_env:
            python = base_environment.given(ask.base_env)
        else:
            python = base_environment.for_base(scratch / BASE, scratch / HEAD, say)
        base = Source(scratch / BASE, python, f"{(commit or '')[:7]} ({ask.against})")
    return {BASE: base, HEAD: Source(scratch / HEAD, Path(sys.executable), "the working tree")}


def _measured(ask: Ask, top: Path, arms: dict[str, Source], options: dict[str, Any]) -> Iterator[Measured[Any]]:
    """The cases, by the head's suite.

    Raises:
        UserError: the base has a case that the head lacks.
    """
    if ask.target:
        thoroughness = load(options["suite"])
        variant = default_of(Request(**options))
        yield Target(ask.target, top, variant, thoroughness.rounds, thoroughness.round_seconds)
        return
    chosen = plan(Request(**options))
    if not ask.packages:
        _refuse_missing(arms, options)
    for prepared in chosen.tasks:
        for backend in chosen.backends:
            yield Case(chosen, prepared, backend)


def _refuse_missing(arms: dict[str, Source], options: dict[str, Any]) -> None:
    """A case that is gone is no pass."""
    suite = options["suite"]
    suite = str(Path(suite).absolute()) if suite.endswith(".toml") else suite
    base, head = (source_trees.cases(arms[arm], suite) for arm in (BASE, HEAD))
    wanted = {
        (backend, task)
        for backend, task in (base or set()) - (head or set())
        if backend in (options["backends"] or [backend]) and task in (options["tasks"] or [task])
    }
    if base and head and wanted:
        gone = ", ".join(f"{backend} {task}" for backend, task in sorted(wanted))
        raise UserError(
            f"cannot compare: {arms[BASE].name} has cases that the working tree lacks ({gone}): "
            "bring them back, or name the others with --backend and --task"
        )


def _judged(
    measured: Sequence[Measured[Any]], arms: dict[str, Source], ask: Ask, asked: dict[str, float], say: gate_report.Say
) -> tuple[list[Judged], list[str]]:
    end = None if ask.max_time is None else time.monotonic() + ask.max_time
    found, notes = [], []
    for position, case in enumerate(measured):
        say(f"{case.name}: {arms[HEAD].name} against {arms[BASE].name}")
        left = None if end is None else max(0.0, end - time.monotonic()) / (len(measured) - position)
        pairs = measure(case, arms, Quiet(say))
        found.append(until_verdict(pairs, case.name, asked, len(measured), ask.alpha, left, say))
        if found[-1].verdict is Verdict.SLOWER and isinstance(case, Case):
            say(f"{case.name}: where the time goes, in both")
            notes += slower_part.compare(case, arms, Quiet(say))
    return found, notes


def until_verdict(
    pairs: Iterator[Pair],
    name: str,
    asked: dict[str, float],
    cases: int,
    alpha: float,
    budget: float | None,
    say: gate_report.Say,
) -> Judged:
    """Launch pairs until there is a verdict, or the time is over.

    Raises:
        UserError: the time does not suffice for the first look, or there is nothing to compare.
    """
    done: list[Pair] = []
    began = time.monotonic()
    for pair in pairs:
        done.append(pair)
        spent = time.monotonic() - began
        if budget is not None and len(done) == 1 and spent * LOOKS[0] > budget:
            raise UserError(
                f"--max-time leaves {name} {budget:.0f} s, and {LOOKS[0]} launch pairs, the fewest for a verdict, "
                f"take about {spent * LOOKS[0]:.0f} s here: allow more"
            )
        late = budget is not None and spent + spent / len(done) > budget
        judged = judge(done, asked, cases, alpha, last=late)
        if not judged.decisions and not judged.broken:
            raise UserError(f"cannot compare: base and head measured nothing of {name} in common")
        say(gate_report.so_far(judged))
        if judged.verdict is not Verdict.OPEN:
            break
    return replace(judged, seconds=time.monotonic() - began)


def exit_status(verdicts: Sequence[Verdict], undecided: str | None) -> int:
    """The exit status of a gate: any case that is slower fails it; then, any that is undecided leaves it so."""
    statuses = {STATUS[verdict] for verdict in verdicts}
    if 1 in statuses:
        return 1
    return {"pass": 0, "fail": 1, None: 3}[undecided] if 3 in statuses else 0
