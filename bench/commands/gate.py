"""`bench gate`: did this change slow training down? Measured against another revision, decided as soon as it can be."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.alone import alone
from bench.channel import Message
from bench.environment import PROJECT
from bench.errors import UserError
from bench.gate import report, sources
from bench.gate.case import Judged, Pair, judge
from bench.gate.decision import LOOKS, Verdict
from bench.gate.metrics import METRICS, margins
from bench.gate.pairs import measure
from bench.gate.sources import BASE, HEAD, Source
from bench.request import Plan, Prepared, Request, plan

#: Exit statuses; 2 is for what cannot be compared, as for every mistake.
STATUS = {Verdict.PASS: 0, Verdict.FASTER: 0, Verdict.SLOWER: 1, Verdict.UNDECIDED: 3}


def gate(
    *,
    against: str,
    margin: Sequence[tuple[str | None, float]],
    alpha: float,
    max_time: float | None,
    undecided: str | None,
    base_env: Path | None,
    skip_unchanged: bool,
    files: report.Files,
    wait: bool,
    **options: Any,
) -> int:
    """Print a verdict a case, and what decided it.

    The exit status is 0 where nothing that matters became worse; 1 where something did; 3 where it stayed open, or
    what `undecided` makes of that: `pass` or `fail`.

    Args:
        against: the revision that the working tree is compared with.
        margin: of metrics, see `bench.gate.metrics.margins`.
        alpha: share of gates without a change that may end `slower`, all cases together.
        max_time: seconds for all cases together.
        base_env: environment of the base.
        skip_unchanged: pass at once where nothing that a training step can depend on differs.
        options: of `bench.request.Request`.

    Raises:
        UserError: it cannot be compared: the user's mistake, or a worker that died.
    """
    console, progress = Console(), Console(stderr=True)
    asked = margins(margin)
    report.check(files)

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False, soft_wrap=True)

    with tempfile.TemporaryDirectory(prefix="head-to-head-") as name:
        scratch = Path(name)
        top = sources.repository(PROJECT)
        commit = sources.revision(top, against)
        base_tree, head_tree = sources.check_out(top, commit, scratch)
        if skip_unchanged and sources.unchanged(scratch):
            console.print(f"Passed: nothing that training depends on has changed since {against}.", markup=False)
            return 0
        with alone("bench gate", wait, say):
            chosen = plan(Request(**options))
            arms = {
                BASE: Source(scratch / BASE, sources.interpreter(scratch, base_env, say), f"{commit[:7]} ({against})"),
                HEAD: Source(scratch / HEAD, Path(sys.executable), "the working tree"),
            }
            for source in arms.values():
                sources.compiled(source)
            judged = _judged(chosen, arms, asked, alpha, max_time, say)
    about = report.About(against, commit, base_tree, head_tree, asked, alpha)
    for case in judged:
        for line in report.lines(case, asked):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    report.write(files, about, judged)
    return exit_status([case.verdict for case in judged], undecided)


def _judged(
    chosen: Plan,
    arms: dict[str, Source],
    asked: dict[str, float],
    alpha: float,
    max_time: float | None,
    say: report.Say,
) -> list[Judged]:
    cases = [(prepared, backend) for prepared in chosen.tasks for backend in chosen.backends]
    end = None if max_time is None else time.monotonic() + max_time
    found = []
    for position, (prepared, backend) in enumerate(cases):
        say(f"{backend}/{chosen.variant.name} {prepared.task.name}: {arms[HEAD].name} against {arms[BASE].name}")
        left = None if end is None else max(0.0, end - time.monotonic()) / (len(cases) - position)
        found.append(_case(chosen, prepared, backend, arms, asked, alpha, len(METRICS) * len(cases), left, say))
    return found


def _case(
    chosen: Plan,
    prepared: Prepared,
    backend: str,
    arms: dict[str, Source],
    asked: dict[str, float],
    alpha: float,
    sharing: int,
    budget: float | None,
    say: report.Say,
) -> Judged:
    """Launch pairs until there is a verdict, or the time is over.

    Raises:
        UserError: the time does not suffice for the first look.
    """
    pairs: list[Pair] = []
    began = time.monotonic()
    for pair in measure(chosen, prepared, backend, arms, _Quiet(say)):
        pairs.append(pair)
        spent = time.monotonic() - began
        if budget is not None and len(pairs) == 1 and spent * LOOKS[0] > budget:
            raise UserError(
                f"--max-time leaves {backend} {budget:.0f} s, and {LOOKS[0]} launch pairs, the fewest for a verdict, "
                f"take about {spent * LOOKS[0]:.0f} s here: allow more"
            )
        late = budget is not None and spent + spent / len(pairs) > budget
        judged = judge(pairs, asked, sharing, alpha, last=late)
        say(report.so_far(judged))
        if judged.verdict is not Verdict.OPEN:
            break
    return replace(judged, seconds=time.monotonic() - began)


def exit_status(verdicts: Sequence[Verdict], undecided: str | None) -> int:
    """The exit status of a gate: any case that is slower fails it; then, any that is undecided leaves it so."""
    statuses = {STATUS[verdict] for verdict in verdicts}
    if 1 in statuses:
        return 1
    return {"pass": 0, "fail": 1, None: 3}[undecided] if 3 in statuses else 0


class _Quiet:
    """A `bench.conductor.Watcher` that tells of deaths alone: a pair has a line when it is done."""

    def __init__(self, say: report.Say) -> None:
        self.say = say

    def event(self, case: str, message: Message) -> None:
        """See `Watcher.event`."""
        if message["event"] == "died":
            self.say(f"  the worker of {case} died: {message['reason']}")

    def round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.round`."""
