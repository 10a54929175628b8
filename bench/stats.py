"""Statistics of rounds and launches: pure functions of the figures, each with its source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval; `low` and `high` are None where there is none (one launch)."""

    estimate: float
    low: float | None
    high: float | None

    def excludes(self, value: float) -> bool:
        """Whether there is an interval and `value` lies outside it."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high


def throughput(
    images: int,
    seconds_by_launch: Sequence[Sequence[float]],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Images per second: the median round of each launch, then the median over the launches.

    The interval is a percentile interval of a hierarchical bootstrap (Davison & Hinkley 1997, section 3.8):
    launches are drawn with replacement, and then rounds within each drawn launch. One launch gives no
    interval: the spread of its rounds says nothing about the spread between launches, which is the larger.

    Args:
        images: in one round.
        seconds_by_launch: wall seconds of each round, by launch; launches may have different numbers of them.
        confidence: of the interval.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: no launch, a launch without rounds, or a round that took no time.
    """
    launches = _checked(seconds_by_launch)
    estimate = float(np.median([images / np.median(launch) for launch in launches]))
    if len(launches) == 1:
        return Interval(estimate, None, None)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(launches), size=(resamples, len(launches)))
    rates = np.empty(drawn.shape)
    for index, launch in enumerate(launches):
        chosen = drawn == index
        rounds = rng.integers(launch.size, size=(int(chosen.sum()), launch.size))
        rates[chosen] = images / np.median(launch[rounds], axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.median(rates, axis=1), (tail, 1 - tail))
    return Interval(estimate, float(low), float(high))


def log_ratios(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> list[float]:
    """One y per launch pair: the median over rounds of ln(time of a / time of b); above 0, b is the faster.

    Launches are paired by index, and so are the rounds in them: those are the rounds that ran within the same
    seconds, so that the machine's drift cancels. Where one launch has more rounds, the last are left out.

    Raises:
        ValueError: as `throughput`, or another number of launches in `a` than in `b`.
    """
    pairs = zip(_checked(a), _checked(b), strict=True)
    ys = []
    for left, right in pairs:
        rounds = min(left.size, right.size)
        ys.append(float(np.median(np.log(left[:rounds] / right[:rounds]))))
    return ys


def ratio(ys: Sequence[float], confidence: float = 0.95) -> Interval:
    """exp of the mean y, with a t-interval over the launch pairs (Student 1908), exponentiated.

    One launch pair gives no interval.

    Raises:
        ValueError: no launch pair, or a y that is not finite.
    """
    sample = np.asarray(ys, dtype=float)
    if not sample.size or not np.isfinite(sample).all():
        raise ValueError(f"a ratio needs launch pairs with finite logarithms, not {list(ys)}")
    mean = float(sample.mean())
    if sample.size == 1:
        return Interval(math.exp(mean), None, None)
    error = float(sample.std(ddof=1)) / math.sqrt(sample.size)
    reach = float(stats.t.ppf((1 + confidence) / 2, sample.size - 1)) * error
    return Interval(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach))


def binomial(correct: int, n: int, confidence: float = 0.95) -> Interval:
    """The share correct / n with its score interval (Wilson 1927, JASA 22:209-212).

    Raises:
        ValueError: unless 0 <= correct <= n and n >= 1.
    """
    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"{correct} of {n} is no share")
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share = correct / n
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    return Interval(share, max(0.0, centre - reach), min(1.0, centre + reach))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number, in the order given (Holm 1979, Scand. J. Statist. 6:65-70)."""
    adjusted = [0.0] * len(p_values)
    floor = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = floor
    return adjusted


def _checked(seconds_by_launch: Sequence[Sequence[float]]) -> list[np.ndarray]:
    launches = [np.asarray(seconds, dtype=float) for seconds in seconds_by_launch]
    if not launches or any(launch.size == 0 or not (launch > 0).all() for launch in launches):
        raise ValueError("every launch needs rounds, and every round needs a time above 0 s")
    return launches
