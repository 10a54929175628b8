"""Error rates of the gate, simulated: thousands of gates whose launch pairs are drawn from measured ones.

The measured pairs compare a revision with itself, so their sign is arbitrary: each pair that is drawn gets a random
sign (the same for all its metrics), and the change is added to it. The intervals contain the uncertainty from the
limited number of measured pairs: each block of gates draws from its own bootstrap sample of the pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.metrics import METRICS
from bench.gate.decision import DECISION_POINTS, Verdict, decide_sequentially
from bench.gate.judgement import START_UP_METRIC, START_UP_PAIRS

BLOCKS, GATES_PER_BLOCK = 40, 200


@dataclass(frozen=True)
class Rate:
    """The mean of a share or a number over all blocks, and the range of the central 95 % of the blocks."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class ErrorRates:
    """The share of gates that end slower, the share that passes, and the launch pairs and seconds that a gate takes."""

    slower: Rate
    passed: Rate
    pairs: Rate
    seconds: Rate


@dataclass(frozen=True)
class PairSeconds:
    """Seconds of a launch pair whose arms start one after the other, of one whose arms start side by side, and what the
    first pair takes in addition, for the proof."""

    alone: float
    beside: float
    first: float = 0.0

    def sum_up(self, alone: int, beside: int) -> float:
        """The seconds of so many pairs."""
        return self.first + alone * self.alone + beside * self.beside


@dataclass(frozen=True)
class _Sources:
    """The measured pairs to draw from, as arrays of y (pairs, metrics), by how their arms started.

    `beside` has NaN for the metric of the start. It is None if all pairs were started alone.
    """

    alone: np.ndarray
    beside: np.ndarray | None

    def resample(self, draw: np.random.Generator) -> _Sources:
        """A bootstrap sample of each."""
        alone = self.alone[draw.integers(len(self.alone), size=len(self.alone))]
        if self.beside is None:
            return _Sources(alone, None)
        return _Sources(alone, self.beside[draw.integers(len(self.beside), size=len(self.beside))])


def simulate_gates(
    pairs: Sequence[Mapping[str, float]],
    shift: Mapping[str, float],
    margins: Mapping[str, float],
    alpha: float,
    draw: np.random.Generator,
    seconds: PairSeconds = PairSeconds(1.0, 1.0),
) -> ErrorRates:
    """Simulate gates of one case with launch pairs that are drawn from measured ones.

    Args:
        pairs: launch pairs of a revision with itself: y by metric. Pairs whose arms started side by side lack the
            metric of the start, and stand for such pairs of a gate.
        shift: what a change adds to y, by metric; 0 for a metric that is absent.
        margins: by metric.
        alpha: as in `decide`.
        draw: the random generator.
        seconds: that launch pairs take.

    Raises:
        ValueError: no pair, or none that started alone.
    """
    names = [name for name in METRICS if any(name in pair for pair in pairs)]
    ys = np.array([[pair.get(name, math.nan) for name in names] for pair in pairs])
    is_alone = np.array([START_UP_METRIC in pair or START_UP_METRIC not in names for pair in pairs], bool)
    if not is_alone.any():
        raise ValueError("error rates need launch pairs")
    measured = _Sources(ys[is_alone], None if is_alone.all() else ys[~is_alone])
    shifts = np.array([shift.get(name, 0.0) for name in names])
    figures = np.empty((BLOCKS, 4))
    for block in range(BLOCKS):
        sources = measured.resample(draw) if block else measured
        gates = [_simulate_gate(sources, shifts, names, margins, alpha, draw) for _ in range(GATES_PER_BLOCK)]
        verdicts = [gate.verdict for gate in gates]
        figures[block] = (
            np.mean([verdict is Verdict.SLOWER for verdict in verdicts]),
            np.mean([verdict in (Verdict.PASS, Verdict.FASTER) for verdict in verdicts]),
            np.mean([gate.alone + gate.beside for gate in gates]),
            np.mean([seconds.sum_up(gate.alone, gate.beside) for gate in gates]),
        )
    return ErrorRates(*(_summarise_blocks(figures[:, column]) for column in range(4)))


@dataclass(frozen=True)
class _Gate:
    """The verdict of a simulated gate, which is the worst of its metrics', and the pairs that it took."""

    verdict: Verdict
    alone: int
    beside: int


def _simulate_gate(
    sources: _Sources,
    shifts: np.ndarray,
    names: Sequence[str],
    margins: Mapping[str, float],
    alpha: float,
    draw: np.random.Generator,
) -> _Gate:
    most = DECISION_POINTS[-1]
    signs = draw.choice((-1.0, 1.0), size=(most, 1))
    sample = signs * sources.alone[draw.integers(len(sources.alone), size=most)] + shifts
    is_alone = np.ones(most, bool)
    if sources.beside is not None:
        is_alone[START_UP_PAIRS:] = False
        beside = signs * sources.beside[draw.integers(len(sources.beside), size=most)] + shifts
        alone, sample = sample, np.where(is_alone[:, None], sample, beside)
    for point in DECISION_POINTS:
        verdicts = {
            name: _decide_metric(sample[:point, column], margins[name], len(names), alpha)
            for column, name in enumerate(names)
        }
        found = list(verdicts.values())
        pairs = int(is_alone[:point].sum()), int((~is_alone[:point]).sum())
        if Verdict.SLOWER in found:
            return _Gate(Verdict.SLOWER, *pairs)
        if Verdict.OPEN not in found:
            return _Gate(Verdict.UNDECIDED if Verdict.UNDECIDED in found else Verdict.PASS, *pairs)
        if sources.beside is not None:  # see `bench.gate.judgement.needs_start_up`
            is_alone[point:] = verdicts[START_UP_METRIC] is Verdict.OPEN
            sample = np.where(is_alone[:, None], alone, beside)
    raise AssertionError("a verdict is never open at the last decision point")


def _decide_metric(ys: np.ndarray, margin: float, sharing_alpha: int, alpha: float) -> Verdict:
    """The verdict after as many pairs as there are `ys`; NaN stands for a pair without the metric."""
    numbers = np.flatnonzero(~np.isnan(ys)) + 1
    last = len(ys) == DECISION_POINTS[-1]
    measured = ys[numbers - 1].tolist()
    return decide_sequentially(
        measured, margin, sharing_alpha, alpha, last, numbers=numbers.tolist(), total=len(ys)
    ).verdict


def _summarise_blocks(blocks: np.ndarray) -> Rate:
    low, high = np.percentile(blocks, (2.5, 97.5))
    return Rate(float(blocks.mean()), float(low), float(high))


def compute_shifts(change: float, names: Sequence[str]) -> dict[str, float]:
    """What a relative change of the step's time adds to y, for each of the metrics `names`."""
    return dict.fromkeys(names, math.log1p(change))
