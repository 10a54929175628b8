"""The error rates of the gate on this machine: launch pairs measured, and gates drawn from them."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.analysis.metrics import METRICS, compute_log_ratio, resolve_margins
from bench.errors import UserError
from bench.gate import error_rates, gate_report, planted_changes, source_trees
from bench.gate.decision import ALPHA, DECISION_POINTS
from bench.gate.gate_run import until_verdict
from bench.gate.judgement import Judgement, LaunchPair
from bench.gate.launch_pairs import TrainingCase, measure_pairs
from bench.gate.planted_changes import PlantedChange
from bench.gate.source_trees import BASE, HEAD, SourceTree
from bench.machine.environment import PROJECT
from bench.measure.machine_lock import hold_lock
from bench.measure.silent_progress import SilentProgress
from bench.plan.plan import make_plan
from bench.plan.request import Request

#: Pairs of the revision with itself, and of each slower step.
PAIRS = 60
SLOWER = (0.03, 0.05, 0.10)
BACKEND = "pytorch"
SUITE = "gate"
RATES = ("pipeline", "compute")
#: Of the time that is given, the share for pairs of the revision with itself.
ITSELF_SHARE = 0.5


@dataclass
class Budget:
    """Seconds that are left; None is as long as it takes."""

    seconds: float | None
    began: float = field(default_factory=time.monotonic)

    def over(self, share: float = 1.0) -> bool:
        """Whether a share of it is spent."""
        return self.seconds is not None and time.monotonic() - self.began > share * self.seconds


def measure_error_rates(hours: float | None, wait: bool) -> int:
    """Print the table of rates, and of what else was planted.

    The exit status is 0, or 1 where a plant was missed.

    Args:
        hours: to spend; what is measured first is the revision with itself. None is as long as it takes.
        wait: for another measurement.

    Raises:
        UserError: this is no git repository, a worker died, or the time does not suffice for one gate.
    """

    console, progress = Console(), Console(stderr=True)

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False, soft_wrap=True)

    budget = Budget(None if hours is None else hours * 3600)
    with hold_lock("bench gate-selftest", wait, say), tempfile.TemporaryDirectory(prefix="head-to-head-") as name:
        scratch = Path(name)
        top = source_trees.find_repository(PROJECT)
        itself = list(_itself(top, scratch / "itself", budget, say))
        if len(itself) < DECISION_POINTS[0]:
            raise UserError(
                f"{len(itself)} launch pairs in that time, and a gate takes {DECISION_POINTS[0]}: give more --hours"
            )
        step = statistics.median(second for pair in itself for second in pair.base.values["pipeline"])
        ys = _ys(itself)
        console.print(_spread(ys))
        shifts: dict[float, dict[str, float]] = {0.0: {}} | {
            share: error_rates.compute_shifts(share, RATES) for share in SLOWER
        }
        took = statistics.median(pair.seconds for pair in itself[1:])
        console.print(_rates(ys, shifts, took, say))
        planted = list(_planted(top, scratch, step, budget, say))
    table = Table("planted, by a real commit", "verdict", "launch pairs", "minutes", title_justify="left")
    for plant, judged in planted:
        line = gate_report.format_lines(judged, resolve_margins(()))[0].partition(": ")[2]
        table.add_row(plant.name, line, str(judged.launches), f"{judged.seconds / 60:.1f}")
    console.print(table)
    missed = [plant.name for plant, judged in planted if judged.verdict.value != "slower"]
    if missed:
        console.print(f"Missed: {', '.join(missed)}", style="bold red", markup=False)
    return 1 if missed else 0


def _itself(top: Path, scratch: Path, budget: Budget, say: gate_report.PrintLine) -> Iterator[LaunchPair]:
    """Pairs of the working tree with itself."""
    say("The revision with itself")
    for number, pair in enumerate(_pairs(top, None, scratch, BACKEND, say), start=1):
        yield pair
        say(f"  pair {number} of {PAIRS}, {pair.seconds:.0f} s")
        if number == PAIRS or budget.over(ITSELF_SHARE):
            return


def _planted(
    top: Path, scratch: Path, step: float, budget: Budget, say: gate_report.PrintLine
) -> Iterator[tuple[PlantedChange, Judgement]]:
    """A gate of each plant."""

    for number, plant in enumerate((*map(planted_changes.make_slower_step, SLOWER), *planted_changes.OTHER_CHANGES)):
        if budget.over():
            say(f"No time is left for: {plant.name}")
            continue
        say(plant.name)
        clone = scratch / f"clone{number}"
        base = planted_changes.commit_change(plant, top, clone, step)
        pairs = _pairs(clone, base, scratch / f"arms{number}", plant.backend, say)
        yield plant, until_verdict(pairs, plant.name, resolve_margins(()), 1, ALPHA, None, say)


def _pairs(
    top: Path, base: str | None, scratch: Path, backend: str, say: gate_report.PrintLine
) -> Iterator[LaunchPair]:

    scratch.mkdir()
    source_trees.check_out(top, base, scratch)
    arms = {arm: SourceTree(scratch / arm, Path(sys.executable), arm) for arm in (BASE, HEAD)}
    for source in arms.values():
        source_trees.compile_byte_code(source)
    chosen = make_plan(Request(suite=SUITE, backends=(backend,)))
    return measure_pairs(TrainingCase(chosen, chosen.tasks[0], backend), arms, SilentProgress(say))


def _ys(pairs: Sequence[LaunchPair]) -> list[dict[str, float]]:
    """The log-ratios, of the pairs that have all metrics: the first one, which proves, tells nothing of memory."""

    names = [name for name in METRICS if any(name in pair.base.values for pair in pairs)]
    whole = [pair for pair in pairs if all(name in pair.base.values and name in pair.head.values for name in names)]
    return [{name: compute_log_ratio(name, pair.base, pair.head) for name in names} for pair in whole]


def _spread(ys: Sequence[dict[str, float]]) -> Table:

    table = Table("metric", "mean of the log-ratio", "its spread", "launch pairs", title_justify="left")
    table.title = "The revision with itself"
    for name in ys[0]:
        values = np.array([y[name] for y in ys])
        error = values.std(ddof=1) / np.sqrt(len(values))
        table.add_row(
            name, f"{100 * values.mean():+.2f} ± {196 * error:.2f} %", f"{100 * values.std(ddof=1):.1f} %", str(len(ys))
        )
    return table


def _rates(
    ys: Sequence[dict[str, float]], shifts: dict[float, dict[str, float]], took: float, say: gate_report.PrintLine
) -> Table:

    table = Table("step", "called slower", "passed", "minutes to a verdict", title_justify="left")
    table.title = f"Gates drawn from {len(ys)} launch pairs of {took:.0f} s"
    draw = np.random.default_rng(0)
    for share, shift in shifts.items():
        say(f"drawing gates: {share:.0%} slower")
        found = error_rates.simulate_gates(ys, shift, resolve_margins(()), ALPHA, draw)
        minutes = [value * took / 60 for value in (found.pairs.estimate, found.pairs.low, found.pairs.high)]
        table.add_row(
            f"{share:.0%} slower" if share else "unchanged",
            _told(found.slower),
            _told(found.passed),
            f"{minutes[0]:.1f} [{minutes[1]:.1f}–{minutes[2]:.1f}]",
        )
    return table


def _told(rate: error_rates.Rate) -> str:
    return f"{rate.estimate:.1%} [{rate.low:.1%}–{rate.high:.1%}]"
