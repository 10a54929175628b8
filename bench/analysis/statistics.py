"""Statistics of rounds and launches: pure functions of the figures, each with its source.

`scipy.stats` takes half a second to import, so that it is imported where it is used: distributions are in `special`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval; `low` and `high` are None where there is none (one launch)."""

    estimate: float
    low: float | None
    high: float | None

    @property
    def reach(self) -> float:
        """How far the interval reaches from the estimate, relative to it; infinite where there is none."""
        if self.low is None or self.high is None:
            return math.inf
        return max(self.high / self.estimate - 1, 1 - self.low / self.estimate)

    def excludes(self, value: float) -> bool:
        """Whether there is an interval and `value` lies outside it."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high


def throughput(images: int, seconds_by_launch: Sequence[Sequence[float]], confidence: float = 0.95) -> Interval:
    """Images per second: the geometric mean over launches of the rate of each launch's median round.

    The interval is Student's over the launches' logarithms, exponentiated. The spread of the rounds is in it, for it
    moves the medians; to draw rounds again within drawn launches would count it twice (Davison & Hinkley 1997,
    section 3.8). Percentiles of a hierarchical bootstrap, launches and then rounds, do not keep their word: simulated
    with six rounds and launches that vary by 2.7 %, they cover 87 % at 4 launches and 92 % at 8 where rounds vary by
    1 %, and 98 % at 8 where they vary by 5 %; 95 % was asked.

    One launch gives no interval: the spread of its rounds says nothing about the spread between launches.

    Args:
        images: in one round.
        seconds_by_launch: wall seconds of each round, by launch; launches may have different numbers of them.
        confidence: of the interval.

    Raises:
        ValueError: no launch, a launch without rounds, or a round that took no time.
    """
    launches = _checked(seconds_by_launch)
    return ratio([math.log(images / np.median(launch)) for launch in launches], confidence)


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
    logs = mean(ys, confidence)
    low, high = (None if end is None else math.exp(end) for end in (logs.low, logs.high))
    return Interval(math.exp(logs.estimate), low, high)


def scaled(interval: Interval, by: float) -> Interval:
    """All of it times a figure above 0 that is taken for known."""
    low, high = (None if end is None else end * by for end in (interval.low, interval.high))
    return Interval(interval.estimate * by, low, high)


def mean(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean with its t-interval (Student 1908); one value gives no interval.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    sample = _finite(values)
    centre = float(sample.mean())
    if sample.size == 1:
        return Interval(centre, None, None)
    reach = _student((1 + confidence) / 2, sample.size - 1) * _standard_error(sample)
    return Interval(centre, centre - reach, centre + reach)


def p_of_no_difference(ys: Sequence[float]) -> float:
    """Two-sided p of Student's test that the mean y is 0; 1 where one launch pair leaves everything open.

    Raises:
        ValueError: no launch pair, or a y that is not finite.
    """
    sample = _finite(ys)
    if sample.size == 1:
        return 1.0
    error = _standard_error(sample)
    if not error:
        return 0.0 if sample.mean() else 1.0
    return float(2 * special.stdtr(sample.size - 1, -abs(float(sample.mean())) / error))


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p that two classifiers are right equally often (McNemar 1947, Psychometrika 12:153-157).

    Args:
        only_first, only_second: test images on which just the first, or just the second, is right.

    Raises:
        ValueError: a negative count.
    """
    if min(only_first, only_second) < 0:
        raise ValueError(f"{only_first} and {only_second} are no counts")
    from scipy import stats

    n = only_first + only_second
    return float(stats.binomtest(only_first, n, 0.5).pvalue) if n else 1.0


def slope(x: Sequence[float], y: Sequence[float], confidence: float = 0.95) -> Interval:
    """The least-squares slope of y over x with its t-interval; two points give no interval.

    Raises:
        ValueError: fewer than two different x, or a figure that is not finite.
    """
    xs, ys = _finite(x), _finite(y)
    if np.unique(xs).size < 2:
        raise ValueError(f"a slope needs two different x, not {sorted(set(x))}")
    from scipy import stats

    fit = stats.linregress(xs, ys)
    if xs.size == 2:
        return Interval(float(fit.slope), None, None)
    reach = _student((1 + confidence) / 2, xs.size - 2) * float(fit.stderr)
    return Interval(float(fit.slope), float(fit.slope) - reach, float(fit.slope) + reach)


@dataclass(frozen=True)
class Trend:
    """How rounds changed over a launch: the relative change from first to last, and the p of no trend."""

    change: float
    p: float


def trend(seconds: Sequence[float]) -> Trend:
    """Mann's test (1945, Econometrica 13:245-259) with the slope of Theil (1950) and Sen (1968).

    Raises:
        ValueError: fewer than three rounds, or a figure that is not finite.
    """
    sample = _finite(seconds)
    if sample.size < 3:
        raise ValueError(f"a trend needs three rounds, not {sample.size}")
    from scipy import stats

    times = np.arange(sample.size)
    p = float(stats.kendalltau(times, sample).pvalue)
    per_round = float(stats.theilslopes(sample, times).slope)
    return Trend(per_round * (sample.size - 1) / float(np.median(sample)), p if math.isfinite(p) else 1.0)


@dataclass(frozen=True)
class Modes:
    """Two clusters of rounds: Ashman's D between them, the distance over the lower centre, the smaller one's share."""

    separation: float
    distance: float
    share: float


def modes(values: Sequence[float]) -> Modes:
    """The split into two clusters with the smallest squares within, and how far apart they are.

    Ashman's D is the distance of the centres over the clusters' root mean square deviation (Ashman, Bird & Zepf
    1994, Astron. J. 108:2348). Of a normal sample that is cut in two it is about 2.6, as its halves are narrow.

    Raises:
        ValueError: fewer than four values, or one that is not finite.
    """
    sample = np.sort(_finite(values))
    if sample.size < 4:
        raise ValueError(f"two clusters need four values, not {sample.size}")
    cuts = range(2, sample.size - 1)
    cut = min(cuts, key=lambda k: sample[:k].var() * k + sample[k:].var() * (sample.size - k))
    low, high = sample[:cut], sample[cut:]
    spread = math.sqrt((low.var(ddof=1) + high.var(ddof=1)) / 2)
    distance = float(high.mean() - low.mean())
    separation = distance / spread if spread else (math.inf if distance else 0.0)
    return Modes(separation, distance / float(low.mean()), min(cut, sample.size - cut) / sample.size)


def outliers(values: Sequence[float], limit: float = 3.5) -> list[int]:
    """Indices of values whose modified z-score is beyond `limit`.

    0.6745 (x - median) / MAD, and 3.5 (Iglewicz & Hoaglin 1993, "How to Detect and Handle Outliers").

    Raises:
        ValueError: a value that is not finite.
    """
    sample = _finite(values)
    distances = np.abs(sample - np.median(sample))
    mad = float(np.median(distances))
    return [int(i) for i in np.flatnonzero(0.6745 * distances > limit * mad)] if mad else []


def binomial(correct: int, n: int, confidence: float = 0.95) -> Interval:
    """The share correct / n with its score interval (Wilson 1927, JASA 22:209-212).

    Raises:
        ValueError: unless 0 <= correct <= n and n >= 1.
    """
    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"{correct} of {n} is no share")
    z = float(special.ndtri((1 + confidence) / 2))
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


def _student(p: float, freedom: int) -> float:
    """The quantile of Student's distribution."""
    return float(special.stdtrit(freedom, p))


def _standard_error(sample: np.ndarray) -> float:
    return float(sample.std(ddof=1)) / math.sqrt(sample.size)


def _finite(values: Sequence[float]) -> np.ndarray:
    sample = np.asarray(values, dtype=float)
    if not sample.size or not np.isfinite(sample).all():
        raise ValueError(f"this needs finite figures, not {list(values)}")
    return sample


def _checked(seconds_by_launch: Sequence[Sequence[float]]) -> list[np.ndarray]:
    launches = [np.asarray(seconds, dtype=float) for seconds in seconds_by_launch]
    if not launches or any(launch.size == 0 or not (launch > 0).all() for launch in launches):
        raise ValueError("every launch needs rounds, and every round needs a time above 0 s")
    return launches
