"""Error rates of the gate, from launch pairs that were really measured: thousands of gates drawn from them.

A pair of a revision with itself is as likely to lean one way as the other, so each that is drawn gets a random sign
(all its metrics together); a change is added to that. How few pairs there are to draw from is in the interval: the
pairs are drawn anew, with replacement, for every block of gates (a bootstrap of the bootstrap's source).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.gate.decision import LOOKS, Verdict, settle

BLOCKS, GATES = 40, 200


@dataclass(frozen=True)
class Rate:
    """A share or a number, with the central 95 % of the blocks."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Rates:
    """What gates do: the shares that end slower and that pass, and the launch pairs that they take."""

    slower: Rate
    passed: Rate
    pairs: Rate


def simulate(
    pairs: Sequence[Mapping[str, float]],
    shift: Mapping[str, float],
    margins: Mapping[str, float],
    alpha: float,
    draw: np.random.Generator,
) -> Rates:
    """Gates of one case, drawn from pairs.

    Args:
        pairs: of a revision with itself: y by metric, the same metrics in each.
        shift: by metric, what a change adds to y; 0 where it is left out.
        margins: by metric.
        alpha: as `decide`.
        draw: the source of randomness.

    Raises:
        ValueError: no pair.
    """
    if not pairs:
        raise ValueError("rates need launch pairs")
    names = list(pairs[0])
    ys = np.array([[pair[name] for name in names] for pair in pairs])
    moved = np.array([shift.get(name, 0.0) for name in names])
    found = np.empty((BLOCKS, 3))
    for block in range(BLOCKS):
        source = ys[draw.integers(len(ys), size=len(ys))] if block else ys
        ends = [_gate(source, moved, names, margins, alpha, draw) for _ in range(GATES)]
        verdicts = [verdict for verdict, _ in ends]
        found[block] = (
            np.mean([verdict is Verdict.SLOWER for verdict in verdicts]),
            np.mean([verdict in (Verdict.PASS, Verdict.FASTER) for verdict in verdicts]),
            np.mean([taken for _, taken in ends]),
        )
    return Rates(*(_rate(found[:, column]) for column in range(3)))


def _gate(
    source: np.ndarray,
    moved: np.ndarray,
    names: Sequence[str],
    margins: Mapping[str, float],
    alpha: float,
    draw: np.random.Generator,
) -> tuple[Verdict, int]:
    """One gate's verdict, the worst of its metrics', and the pairs that it took."""
    chosen = draw.integers(len(source), size=LOOKS[-1])
    signs = draw.choice((-1.0, 1.0), size=(LOOKS[-1], 1))
    sample = signs * source[chosen] + moved
    worst, taken = Verdict.PASS, LOOKS[0]
    for look in LOOKS:
        settled = [
            settle(sample[:look, column], margins[name], len(names), alpha, last=look == LOOKS[-1]).verdict
            for column, name in enumerate(names)
        ]
        taken = look
        if Verdict.SLOWER in settled:
            return Verdict.SLOWER, taken
        if Verdict.OPEN not in settled:
            worst = Verdict.UNDECIDED if Verdict.UNDECIDED in settled else Verdict.PASS
            break
    return worst, taken


def _rate(blocks: np.ndarray) -> Rate:
    low, high = np.percentile(blocks, (2.5, 97.5))
    return Rate(float(blocks.mean()), float(low), float(high))


def of_change(change: float, names: Sequence[str]) -> dict[str, float]:
    """The shift that a change of the step's time makes in every metric named."""
    return dict.fromkeys(names, math.log1p(change))
