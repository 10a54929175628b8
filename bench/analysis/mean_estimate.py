"""Means of log-ratios with their standard errors: of launch pairs, and of launches that were not measured side by side.

Bounds are Student's (1908) over pairs, and Welch's (1947, Biometrika 34:28-35) over two independent samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.statistics import Interval, as_finite_array, compute_standard_error, has_enough_freedom


@dataclass(frozen=True)
class MeanEstimate:
    """A mean log-ratio with its standard error, and the degrees of freedom."""

    mean: float
    standard_error: float
    degrees_of_freedom: float

    def bound_distance(self, p: float) -> float:
        """Distance of the one-sided bound at `p` from the mean; infinite without degrees of freedom: one launch."""
        if not self.degrees_of_freedom:
            return math.inf
        # Not `scipy.stats.t.ppf`, which takes a hundred times as long: gates are simulated by the thousand.
        from scipy import special

        return -float(special.stdtrit(self.degrees_of_freedom, p)) * self.standard_error


def estimate_paired(ys: np.ndarray) -> MeanEstimate:
    """Estimate the mean of the log-ratios of launch pairs."""
    if ys.size < 2:
        return MeanEstimate(float(ys.mean()), 0.0, 0)
    return MeanEstimate(float(ys.mean()), compute_standard_error(ys), ys.size - 1)


def estimate_unpaired(head: np.ndarray, base: np.ndarray) -> MeanEstimate:
    """Estimate the difference of two independent means, with Welch's and Satterthwaite's degrees of freedom."""
    mean = float(head.mean() - base.mean())
    if min(head.size, base.size) < 2:
        return MeanEstimate(mean, 0.0, 0)
    squares = [compute_standard_error(sample) ** 2 for sample in (head, base)]
    total = sum(squares)
    parts = sum(square**2 / (sample.size - 1) for square, sample in zip(squares, (head, base), strict=True))
    return MeanEstimate(mean, math.sqrt(total), total**2 / parts if parts else head.size + base.size - 2)


@dataclass(frozen=True)
class UnpairedRatio:
    """A ratio of two independent samples: its 95 % interval, and the two-sided p that it is 1.

    Fewer than three launches on a side give no interval, and p is 1: see `bench.analysis.statistics.MIN_FREEDOM`.
    """

    interval: Interval
    p: float


def compare_unpaired(head: Sequence[float], base: Sequence[float]) -> UnpairedRatio:
    """Compute the ratio exp(mean of `head` - mean of `base`) of logarithms that were not measured side by side.

    Args:
        head, base: logarithms of one figure, one per launch.

    Raises:
        ValueError: no launch on a side, or a logarithm that is not finite.
    """
    samples = as_finite_array(head), as_finite_array(base)
    estimate = estimate_unpaired(*samples)
    ratio = math.exp(estimate.mean)
    if not has_enough_freedom(min(sample.size for sample in samples) - 1):
        return UnpairedRatio(Interval(ratio, None, None), 1.0)
    reach = estimate.bound_distance(0.025)
    interval = Interval(ratio, math.exp(estimate.mean - reach), math.exp(estimate.mean + reach))
    if not estimate.standard_error:
        return UnpairedRatio(interval, 0.0 if estimate.mean else 1.0)
    from scipy import special

    distance = -abs(estimate.mean) / estimate.standard_error
    return UnpairedRatio(interval, float(2 * special.stdtr(estimate.degrees_of_freedom, distance)))
