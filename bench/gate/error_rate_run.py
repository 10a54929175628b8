"""The run of `bench gate-selftest`: measures launch pairs, and simulates gates by drawing from them."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.analysis.metrics import METRICS, compute_log_ratio, resolve_margins
from bench.errors import UserError
from bench.gate import error_rates, gate_report, planted_changes, source_trees
from bench.gate.decision import ALPHA, DECISION_POINTS
from bench.gate.gate_run import measure_until_verdict
from bench.gate.judgement import Judgement, LaunchPair
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


def measure_error_rates(hours: float | None, wait: bool, data_dir: Path | None, checkpoint: Path | None) -> int:
    """Print the gate's error rates on this machine, and its verdicts on planted changes.

    The exit status is 0; 1 if the gate missed a planted change.

    Args:
        hours: time limit; pairs of the revision with itself are measured first. None for no limit.
        wait: wait for another measurement on this machine to end.
        data_dir, checkpoint: where images and weights are; None for the home, or a download.

    Raises:
        UserError: this is no git repository, a worker died, or the time is too short for one gate.
    """
    console, progress = Console(), Console(stderr=True)

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False, soft_wrap=True)

    budget = TimeBudget(None if hours is None else hours * 3600)
    request = Request(suite=SUITE, backends=(BACKEND,), data_dir=data_dir, checkpoint=checkpoint)
    with hold_lock("bench gate-selftest", wait, say), make_scratch_folder() as scratch:
        top = source_trees.find_repository(PROJECT)
        unchanged = list(_measure_unchanged(request, top, scratch / "itself", budget, say))
        if len(unchanged) < DECISION_POINTS[0]:
            raise UserError(
                f"{len(unchanged)} launch pairs in that time, and a gate needs {DECISION_POINTS[0]}: give more --hours"
            )
        step = statistics.median(second for pair in unchanged for second in pair.base.values["pipeline"])
        log_ratios = _list_log_ratios(unchanged)
        console.print(_build_spread_table(log_ratios))
        shifts: dict[float, dict[str, float]] = {0.0: {}} | {
            share: error_rates.compute_shifts(share, SPEED_METRICS) for share in SLOWDOWNS
        }
        pair_seconds = statistics.median(pair.seconds for pair in unchanged[1:])
        console.print(_build_rate_table(log_ratios, shifts, pair_seconds, say))
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
    request: Request, top: Path, scratch: Path, budget: TimeBudget, say: gate_report.PrintLine
) -> Iterator[LaunchPair]:
    """Measure launch pairs of the working tree with itself."""
    say("The revision with itself")
    for number, pair in enumerate(_measure_pairs(request, top, None, scratch, say), start=1):
        yield pair
        say(f"  pair {number} of {MAX_PAIRS}, {pair.seconds:.0f} s")
        if number == MAX_PAIRS or budget.is_spent(UNCHANGED_SHARE):
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
        pairs = _measure_pairs(of_backend, clone, base, scratch / f"arms{number}", say)
        yield change, measure_until_verdict(pairs, change.name, resolve_margins(()), 1, ALPHA, None, say)


def _measure_pairs(
    request: Request, top: Path, base: str | None, scratch: Path, say: gate_report.PrintLine
) -> Iterator[LaunchPair]:
    """Measure launch pairs of the working tree of `top`, compared with the commit `base` (None for itself).

    Args:
        request: of one task and one backend.
    """
    scratch.mkdir()
    source_trees.check_out(top, base, scratch)
    arms = {arm: SourceTree(scratch / arm, Path(sys.executable), arm) for arm in (BASE, HEAD)}
    for source in arms.values():
        source_trees.compile_byte_code(source)
    plan = make_plan(request)
    return measure_pairs(TrainingCase(plan, plan.tasks[0], plan.backends[0]), arms, SilentProgress(say))


def _list_log_ratios(pairs: Sequence[LaunchPair]) -> list[dict[str, float]]:
    """The log-ratios by metric, of the pairs that have all metrics: the first pair runs the proof and has no memory
    figures."""
    names = [name for name in METRICS if any(name in pair.base.values for pair in pairs)]
    complete = [pair for pair in pairs if all(name in pair.base.values and name in pair.head.values for name in names)]
    return [{name: compute_log_ratio(name, pair.base, pair.head) for name in names} for pair in complete]


def _build_spread_table(log_ratios: Sequence[dict[str, float]]) -> Table:
    table = Table("metric", "mean of the log-ratio", "spread", "launch pairs", title_justify="left")
    table.title = "The revision with itself"
    for name in log_ratios[0]:
        values = np.array([one[name] for one in log_ratios])
        error = values.std(ddof=1) / np.sqrt(len(values))
        table.add_row(
            name,
            f"{100 * values.mean():+.2f} ± {196 * error:.2f} %",
            f"{100 * values.std(ddof=1):.1f} %",
            str(len(log_ratios)),
        )
    return table


def _build_rate_table(
    log_ratios: Sequence[dict[str, float]],
    shifts: dict[float, dict[str, float]],
    pair_seconds: float,
    say: gate_report.PrintLine,
) -> Table:
    table = Table("step", "called slower", "passed", "minutes to a verdict", title_justify="left")
    table.title = f"Gates drawn from {len(log_ratios)} launch pairs of {pair_seconds:.0f} s"
    rng = np.random.default_rng(0)
    for share, shift in shifts.items():
        say(f"Simulating gates: {share:.0%} slower")
        rates = error_rates.simulate_gates(log_ratios, shift, resolve_margins(()), ALPHA, rng)
        minutes = [value * pair_seconds / 60 for value in (rates.pairs.estimate, rates.pairs.low, rates.pairs.high)]
        table.add_row(
            f"{share:.0%} slower" if share else "unchanged",
            _format_rate(rates.slower),
            _format_rate(rates.passed),
            f"{minutes[0]:.1f} [{minutes[1]:.1f}–{minutes[2]:.1f}]",
        )
    return table


def _format_rate(rate: error_rates.Rate) -> str:
    return f"{rate.estimate:.1%} [{rate.low:.1%}–{rate.high:.1%}]"
