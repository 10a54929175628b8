"""Whole comparisons of one case with itself, and with itself 5 % slower: how often is the harness wrong?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.analysis import statistics
from bench.analysis.statistics import Interval
from bench.measure import record_builder
from bench.records.record import Rounds
from bench.worker.planted_fault import PlantedFault
from tests.yardsticks import case
from tests.yardsticks.measuring_phase import Silent, launch

LAUNCHES, ROUNDS, ROUND_SECONDS = 4, 6, 0.3
SLOWER = 0.05
PLANTS = {"a": None, "b": None, "slower": PlantedFault(slower=SLOWER)}


@dataclass(frozen=True)
class Comparison:
    """Throughput ratios: of a case to itself, and of the same case slowed down to itself."""

    same: Interval
    slower: Interval

    @property
    def winner_named(self) -> bool:
        """Whether a difference was found where there is none."""
        return self.same.excludes(1)

    @property
    def covered(self) -> bool:
        """Whether the interval holds the difference that was planted."""
        return not self.slower.excludes(1 / (1 + SLOWER))


def compare(backend: str, data: Path, say: Callable[[str], object]) -> Comparison:
    """One comparison of several launches, measured as by `bench run` and computed as in its tables."""
    seconds: dict[str, list[tuple[float, ...]]] = {name: [] for name in PLANTS}
    for number in range(LAUNCHES):
        for name, rounds in _launch(backend, data, reverse_start=bool(number % 2)).items():
            seconds[name].append(rounds.seconds)
    found = Comparison(
        same=statistics.ratio_interval(statistics.log_ratios(seconds["a"], seconds["b"])),
        slower=statistics.ratio_interval(statistics.log_ratios(seconds["a"], seconds["slower"])),
    )
    for name, interval in (("itself", found.same), ("itself, slower", found.slower)):
        say(f"{backend} / {name}: {interval.estimate:.3f} [{interval.low:.3f}–{interval.high:.3f}]")
    return found


def _launch(backend: str, data: Path, reverse_start: bool) -> dict[str, Rounds]:
    jobs = []
    for name, plant in PLANTS.items():
        update = {"case": name, "plant": plant, "kinds": ("pipeline",)}
        jobs.append(case.job(backend, data, ROUNDS).model_copy(update=update))
    done = launch(jobs, Silent(), ROUND_SECONDS, reverse_start)
    measured = {outcome.job.case: record_builder.read_rounds(outcome, "pipeline") for outcome in done.outcomes}
    return {name: rounds for name, rounds in measured.items() if rounds}
