"""The run of `bench gate-selftest`: measures launch pairs, and simulates gates by drawing from them."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.analysis.metrics import METRICS, compute_log_ratio, resolve_margins
from bench.errors import UserError
from bench.gate import error_rates, gate_report, planted_changes, source_trees
from bench.gate.decision import ALPHA, DECISION_POINTS
from bench.gate.error_rates import PairSeconds
from bench.gate.gate_run import measure_until_verdict
from bench.gate.judgement import START_UP_METRIC, START_UP_PAIRS, Judgement, LaunchPair, needs_start_up
from bench.gate.launch_pairs import TrainingCase, measure_pairs
from bench.gate.planted_changes import PlantedChange
from bench.gate.source_trees import BASE, HEAD, SourceTree
from bench.machine.environment import PROJECT
from bench.measure.machine_lock import hold_lock
from bench.measure.scratch_folder import make_scratch_folder
from bench.plan.plan import make_plan
from bench.plan.request import Request
from bench.report.live.silent_progress import SilentProgress

#: At most this many launch pairs of the revision with itself.
MAX_PAIRS = 60
#: After the first ones, one pair in so many has arms that start one after the other: there have to be enough figures of
#: starts to draw from.
ALONE_EVERY = 3
SLOWDOWNS = (0.03, 0.05, 0.10)
BACKEND = "pytorch"
SUITE = "gate"
SPEED_METRICS = ("pipeline", "compute")
#: The share of the time for launch pairs of the revision with itself.
UNCHANGED_SHARE = 0.5


@dataclass
class TimeBudget:
    """A time limit in seconds; None for no limit."""

    seconds: float | None
    began: float = field(default_factory=time.monotonic)

    def is_spent(self, share: float = 1.0) -> bool:
        """Whether this share of the time is over."""
        return self.seconds is not None and time.monotonic() - self.began > share * self.seconds


def measure_error_rates(
    hours: float | None,
    wait: bool,
    data_dir: Path | None,
    checkpoint: Path | None,
    only_unchanged: bool = False,
    images: Path | None = None,
) -> int:
    """Print the gate's error rates on this machine, and unless `only_unchanged` its verdicts on planted changes.

    The exit status is 0; 1 if the gate missed a planted change.

    Args:
        hours: time limit; pairs of the revision with itself are measured first. None for no limit.
        wait: wait for another measurement on this machine to end.
        data_dir, checkpoint: where images and weights are; None for the home, or a download.
        only_unchanged: plant no changes, so that all the time is for pairs of the revision with itself.
        images: the user's own, in place of the suite's.

    Raises:
        UserError: this is no git repository, a worker died, or the time is too short for one gate.
    """
    console, progress = Console(), Console(stderr=True)

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False, soft_wrap=True)

    budget = TimeBudget(None if hours is None else hours * 3600)
    request = Request(suite=SUITE, backends=(BACKEND,), data_dir=data_dir, images=images, checkpoint=checkpoint)
    with hold_lock("bench gate-selftest", wait, say), make_scratch_folder() as scratch:
        top = source_trees.find_repository(PROJECT)
        share = 1.0 if only_unchanged else UNCHANGED_SHARE
        unchanged = list(_measure_unchanged(request, top, scratch / "itself", budget, share, say))
        if len(unchanged) < DECISION_POINTS[0]:
            raise UserError(
                f"{len(unchanged)} launch pairs in that time, and a gate needs {DECISION_POINTS[0]}: give more --hours"
            )
        step = statistics.median(second for pair in unchanged for second in pair.base.values["pipeline"])
        log_ratios = list_log_ratios(unchanged)
        console.print(_build_spread_table(log_ratios))
        shifts: dict[float, dict[str, float]] = {0.0: {}} | {
            share: error_rates.compute_shifts(share, SPEED_METRICS) for share in SLOWDOWNS
        }
        console.print(_build_rate_table(log_ratios, shifts, compute_pair_seconds(unchanged), say))
        if only_unchanged:
            return 0
        verdicts = list(_judge_planted_changes(request, top, scratch, step, budget, say))
    table = Table("planted change (a real commit)", "verdict", "launch pairs", "minutes", title_justify="left")
    for change, judgement in verdicts:
        line = gate_report.format_lines(judgement, resolve_margins(()))[0].partition(": ")[2]
        table.add_row(change.name, line, str(judgement.launches), f"{judgement.seconds / 60:.1f}")
    console.print(table)
    missed = [change.name for change, judgement in verdicts if judgement.verdict.value != "slower"]
    if missed:
        console.print(f"Missed: {', '.join(missed)}", style="bold red", markup=False)
    return 1 if missed else 0


def _measure_unchanged(
    request: Request, top: Path, scratch: Path, budget: TimeBudget, share: float, say: gate_report.PrintLine
) -> Iterator[LaunchPair]:
    """Measure launch pairs of the working tree with itself in this share of the time."""
    say("The revision with itself")

    def needs_start(pairs: Sequence[LaunchPair]) -> bool:
        return len(pairs) < START_UP_PAIRS or len(pairs) % ALONE_EVERY == 0

    for number, pair in enumerate(_measure_pairs(request, top, None, scratch, say, needs_start), start=1):
        yield pair
        say(f"  pair {number} of {MAX_PAIRS}, {pair.seconds:.0f} s")
        if number == MAX_PAIRS or budget.is_spent(share):
            return


def _judge_planted_changes(
    request: Request, top: Path, scratch: Path, step: float, budget: TimeBudget, say: gate_report.PrintLine
) -> Iterator[tuple[PlantedChange, Judgement]]:
    """Run a gate on each planted change."""
    for number, change in enumerate(
        (*map(planted_changes.make_slower_step, SLOWDOWNS), *planted_changes.OTHER_CHANGES)
    ):
        if budget.is_spent():
            say(f"No time is left for: {change.name}")
            continue
        say(change.name)
        clone = scratch / f"clone{number}"
        base = planted_changes.commit_change(change, top, clone, step)
        of_backend = replace(request, backends=(change.backend,))
        margins = resolve_margins(())
        needs_start = partial(needs_start_up, margins=margins)
        pairs = _measure_pairs(of_backend, clone, base, scratch / f"arms{number}", say, needs_start)
        yield change, measure_until_verdict(pairs, change.name, margins, 1, ALPHA, None, say)


def _measure_pairs(
    request: Request,
    top: Path,
    base: str | None,
    scratch: Path,
    say: gate_report.PrintLine,
    needs_start: Callable[[Sequence[LaunchPair]], bool],
) -> Iterator[LaunchPair]:
    """Measure launch pairs of the working tree of `top`, compared with the commit `base` (None for itself).

    Args:
        request: of one task and one backend.
        needs_start: see `bench.gate.launch_pairs.measure_pairs`.
    """
    scratch.mkdir()
    source_trees.check_out(top, base, scratch)
    arms = {arm: SourceTree(scratch / arm, Path(sys.executable), arm) for arm in (BASE, HEAD)}
    for source in arms.values():
        source_trees.compile_byte_code(source)
    plan = make_plan(request)
    return measure_pairs(TrainingCase(plan, plan.tasks[0], plan.backends[0]), arms, SilentProgress(say), needs_start)


def list_log_ratios(pairs: Sequence[LaunchPair]) -> list[dict[str, float]]:
    """The log-ratios by metric, of the pairs that have all metrics of their kind: the first pair runs the proof and has
    no memory figures, and pairs whose arms started side by side have none of the start."""
    names = [name for name in METRICS if any(name in pair.base.values for pair in pairs)]
    found = []
    for pair in pairs:
        own = [name for name in names if pair.alone or name != START_UP_METRIC]
        if all(name in pair.base.values and name in pair.head.values for name in own):
            found.append({name: compute_log_ratio(name, pair.base, pair.head) for name in own})
    return found


def compute_pair_seconds(pairs: Sequence[LaunchPair]) -> PairSeconds:
    """The median seconds of the pairs after the first, by how their arms started; at least two pairs."""
    by_start = {alone: [pair.seconds for pair in pairs[1:] if pair.alone is alone] for alone in (True, False)}
    medians = {alone: statistics.median(seconds) for alone, seconds in by_start.items() if seconds}
    alone = medians.get(True, pairs[0].seconds)
    return PairSeconds(alone, medians.get(False, alone), max(0.0, pairs[0].seconds - alone))


def _build_spread_table(log_ratios: Sequence[dict[str, float]]) -> Table:
    table = Table(
        "metric", "mean of the log-ratio", "spread", "started alone", "side by side", "pairs", title_justify="left"
    )
    table.title = "The revision with itself"
    start_up = any(START_UP_METRIC in one for one in log_ratios)
    for name in dict.fromkeys(name for one in log_ratios for name in one):
        measured = [one for one in log_ratios if name in one]
        values = np.array([one[name] for one in measured])
        error = values.std(ddof=1) / np.sqrt(len(values))
        parts = [
            [one[name] for one in measured if (START_UP_METRIC in one or not start_up) is alone]
            for alone in (True, False)
        ]
        table.add_row(
            name,
            f"{100 * values.mean():+.2f} ± {196 * error:.2f} %",
            f"{100 * values.std(ddof=1):.1f} %",
            *(f"{100 * np.std(part, ddof=1):.1f} % ({len(part)})" if len(part) > 1 else "–" for part in parts),
            str(len(values)),
        )
    return table


def _build_rate_table(
    log_ratios: Sequence[dict[str, float]],
    shifts: dict[float, dict[str, float]],
    seconds: PairSeconds,
    say: gate_report.PrintLine,
) -> Table:
    table = Table("step", "called slower", "passed", "launch pairs", "minutes to a verdict", title_justify="left")
    table.title = (
        f"Gates drawn from {len(log_ratios)} launch pairs of {seconds.alone:.1f} s (started alone) and "
        f"{seconds.beside:.1f} s (side by side), and {seconds.first:.1f} s for the proof"
    )
    rng = np.random.default_rng(0)
    for share, shift in shifts.items():
        say(f"Simulating gates: {share:.0%} slower")
        rates = error_rates.simulate_gates(log_ratios, shift, resolve_margins(()), ALPHA, rng, seconds)
        minutes = [value / 60 for value in (rates.seconds.estimate, rates.seconds.low, rates.seconds.high)]
        table.add_row(
            f"{share:.0%} slower" if share else "unchanged",
            _format_rate(rates.slower),
            _format_rate(rates.passed),
            f"{rates.pairs.estimate:.1f}",
            f"{minutes[0]:.1f} [{minutes[1]:.1f}–{minutes[2]:.1f}]",
        )
    return table


def _format_rate(rate: error_rates.Rate) -> str:
    return f"{rate.estimate:.1%} [{rate.low:.1%}–{rate.high:.1%}]"
