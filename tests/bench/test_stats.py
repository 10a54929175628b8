"""The statistics against worked-out scipy results, and their promises by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.stats import Interval, binomial, holm, log_ratios, ratio, throughput

LAUNCHES = [[0.10, 0.11, 0.12], [0.20, 0.21, 0.22], [0.125, 0.125, 0.5]]


def test_throughput_is_the_median_over_launches_of_the_median_round():
    interval = throughput(10, LAUNCHES)

    assert interval.estimate == 10 / 0.125
    assert interval.low == pytest.approx(10 / 0.21, rel=0.05)
    assert interval.high == pytest.approx(10 / 0.11, rel=0.11)
    assert interval == throughput(10, LAUNCHES), "the bootstrap starts from a seed"


def test_the_bootstrap_draws_launches_and_not_just_rounds():
    # Launches without any spread inside: all of the interval's width comes from between them.
    apart = throughput(10, [[0.1] * 5, [0.2] * 5, [0.3] * 5])
    alike = throughput(10, [[0.2] * 5] * 3)

    assert (apart.low, apart.high) == (pytest.approx(10 / 0.3), pytest.approx(10 / 0.1))
    assert (alike.low, alike.high) == (50, 50)


def test_one_launch_has_no_interval():
    assert throughput(10, [[0.1, 0.2, 0.3]]) == Interval(50, None, None)
    assert ratio([0.5]) == Interval(math.exp(0.5), None, None)
    assert not ratio([0.5]).excludes(1)


def test_the_bootstrap_covers_the_true_throughput():
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(300):
        launches = np.exp(rng.normal(0, 0.03, (8, 1)) + rng.normal(0, 0.03, (8, 12)))
        interval = throughput(100, launches.tolist(), resamples=400, seed=trial)
        assert interval.low is not None
        assert interval.high is not None
        hits += interval.low <= 100 <= interval.high
    assert 0.88 <= hits / 300 <= 0.99


def test_rounds_are_paired_by_index_within_a_launch_pair():
    drift = np.array([1.0, 5.0, 25.0])
    assert log_ratios([2 * drift, [3.0]], [drift, [1.0, 9.0]]) == pytest.approx([math.log(2), math.log(3)])
    with pytest.raises(ValueError, match=r"shorter|longer"):
        log_ratios([[1.0]], [[1.0], [1.0]])


def test_ratio_is_scipys_t_interval_exponentiated():
    ys = [0.01, 0.04, -0.02, 0.03, 0.05]
    expected = scipy_stats.ttest_1samp(ys, 0).confidence_interval(0.9)

    interval = ratio(ys, 0.9)

    assert interval.estimate == pytest.approx(math.exp(np.mean(ys)))
    assert (interval.low, interval.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    assert not interval.excludes(1)
    assert ratio([0.5, 0.51, 0.52]).excludes(1)


@pytest.mark.parametrize("pairs", [3, 6, 12])
def test_the_t_interval_covers_as_often_as_it_says(pairs):
    rng = np.random.default_rng(pairs)
    trials = 4000
    intervals = [ratio(ys) for ys in rng.normal(0, 0.027, (trials, pairs))]
    # Four standard errors of the simulation, 0.34 % each.
    assert sum(not i.excludes(1) for i in intervals) / trials == pytest.approx(0.95, abs=0.014)


@pytest.mark.parametrize(("correct", "n"), [(0, 10), (10, 10), (7012, 10_000), (1, 1)])
def test_binomial_is_scipys_wilson_interval(correct, n):
    expected = scipy_stats.binomtest(correct, n).proportion_ci(0.95, method="wilson")
    interval = binomial(correct, n)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert interval.estimate == correct / n


def test_holm_keeps_the_order_given_and_never_falls():
    # Worked by hand: 3 x 0.01, 2 x 0.02, and 0.03, which may not be less than the one before it.
    assert holm([0.02, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: throughput(1, []),
        lambda: throughput(1, [[0.1], []]),
        lambda: throughput(1, [[0.0]]),
        lambda: throughput(1, [[math.nan]]),
        lambda: ratio([]),
        lambda: ratio([math.nan, 1.0]),
        lambda: binomial(1, 0),
        lambda: binomial(3, 2),
    ],
)
def test_figures_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=r"needs|share"):
        wrong()
