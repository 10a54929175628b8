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

from bench.gate.decision import DECISION_POINTS, Verdict, decide_sequentially

BLOCKS, GATES_PER_BLOCK = 40, 200


@dataclass(frozen=True)
class Rate:
    """The mean of a share or a number over all blocks, and the range of the central 95 % of the blocks."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class ErrorRates:
    """The share of gates that end slower, the share that passes, and the number of launch pairs that a gate takes."""

    slower: Rate
    passed: Rate
    pairs: Rate


def simulate_gates(
    pairs: Sequence[Mapping[str, float]],
    shift: Mapping[str, float],
    margins: Mapping[str, float],
    alpha: float,
    draw: np.random.Generator,
) -> ErrorRates:
    """Simulate gates of one case with launch pairs that are drawn from measured ones.

    Args:
        pairs: launch pairs of a revision with itself: y by metric, the same metrics in each.
        shift: what a change adds to y, by metric; 0 for a metric that is absent.
        margins: by metric.
        alpha: as in `decide`.
        draw: the random generator.

    Raises:
        ValueError: no pair.
    """
    if not pairs:
        raise ValueError("error rates need launch pairs")
    names = list(pairs[0])
    ys = np.array([[pair[name] for name in names] for pair in pairs])
    shifts = np.array([shift.get(name, 0.0) for name in names])
    figures = np.empty((BLOCKS, 3))
    for block in range(BLOCKS):
        source = ys[draw.integers(len(ys), size=len(ys))] if block else ys
        gates = [_simulate_gate(source, shifts, names, margins, alpha, draw) for _ in range(GATES_PER_BLOCK)]
        verdicts = [verdict for verdict, _ in gates]
        figures[block] = (
            np.mean([verdict is Verdict.SLOWER for verdict in verdicts]),
            np.mean([verdict in (Verdict.PASS, Verdict.FASTER) for verdict in verdicts]),
            np.mean([taken for _, taken in gates]),
        )
    return ErrorRates(*(_summarise_blocks(figures[:, column]) for column in range(3)))


def _simulate_gate(
    source: np.ndarray,
    shifts: np.ndarray,
    names: Sequence[str],
    margins: Mapping[str, float],
    alpha: float,
    draw: np.random.Generator,
) -> tuple[Verdict, int]:
    """The verdict of one gate, which is the worst of its metrics', and the number of pairs that it took."""
    chosen = draw.integers(len(source), size=DECISION_POINTS[-1])
    signs = draw.choice((-1.0, 1.0), size=(DECISION_POINTS[-1], 1))
    sample = signs * source[chosen] + shifts
    for point in DECISION_POINTS:
        last = point == DECISION_POINTS[-1]
        verdicts = [
            decide_sequentially(sample[:point, column], margins[name], len(names), alpha, last).verdict
            for column, name in enumerate(names)
        ]
        if Verdict.SLOWER in verdicts:
            return Verdict.SLOWER, point
        if Verdict.OPEN not in verdicts:
            return Verdict.UNDECIDED if Verdict.UNDECIDED in verdicts else Verdict.PASS, point
    raise AssertionError("a verdict is never open at the last decision point")


def _summarise_blocks(blocks: np.ndarray) -> Rate:
    low, high = np.percentile(blocks, (2.5, 97.5))
    return Rate(float(blocks.mean()), float(low), float(high))


def compute_shifts(change: float, names: Sequence[str]) -> dict[str, float]:
    """What a relative change of the step's time adds to y, for each of the metrics `names`."""
    return dict.fromkeys(names, math.log1p(change))
