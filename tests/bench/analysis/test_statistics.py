"""The statistics against scipy and published examples, and the coverage of intervals by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.analysis.statistics import (
    Interval,
    adjust_by_holm,
    find_outliers,
    fit_trend,
    log_ratios,
    mcnemar_p,
    no_trend_p,
    ratio_interval,
    slope,
    split_into_clusters,
    t_test_p,
    throughput,
    wilson_interval,
)

LAUNCHES = [[0.10, 0.11, 0.12], [0.20, 0.21, 0.22], [0.125, 0.125, 0.5]]


def test_throughput_is_the_geometric_mean_over_launches_of_the_median_round():
    interval = throughput(10, LAUNCHES)
    logs = np.log(10 / np.array([0.11, 0.21, 0.125]))
    expected = scipy_stats.ttest_1samp(logs, 0).confidence_interval(0.95)

    assert interval.estimate == pytest.approx(10 / scipy_stats.gmean([0.11, 0.21, 0.125]))
    assert (interval.low, interval.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))


def test_one_launch_has_no_interval():
    assert throughput(10, [[0.1, 0.2, 0.3]]) == Interval(pytest.approx(50), None, None)
    assert ratio_interval([0.5]) == Interval(math.exp(0.5), None, None)
    assert not ratio_interval([0.5]).excludes(1)


def test_two_launches_have_no_interval_and_tell_nothing():
    """Their t-interval would be 12.7 standard errors wide, here from 0.00006 to 17,850 times."""
    for two in ([0.77, -0.76], [0.5, 0.5]):
        found = ratio_interval(two)
        assert (found.low, found.high, found.half_width, found.excludes(1)) == (None, None, math.inf, False)
        assert t_test_p(two) == 1.0
    assert slope([1, 2, 3], [1, 2, 4]).low is None, "three points have one degree of freedom, too"
    assert ratio_interval([0.5, 0.51, 0.52]).excludes(1)


@pytest.mark.parametrize("launches", [4, 8, 16])
def test_the_interval_of_a_throughput_covers_as_often_as_it_says(launches):
    rng = np.random.default_rng(launches)
    trials, hits = 3000, 0
    for _ in range(trials):
        seconds = np.exp(rng.normal(0, 0.027, (launches, 1)) + rng.normal(0, 0.05, (launches, 6)))
        hits += not throughput(100, seconds.tolist()).excludes(100)
    # Three standard errors of the simulation, 0.4 % each.
    assert hits / trials == pytest.approx(0.95, abs=0.012)


def test_rounds_are_paired_by_index_within_a_launch_pair():
    drift = np.array([1.0, 5.0, 25.0])
    assert log_ratios([2 * drift, [3.0]], [drift, [1.0, 9.0]]) == pytest.approx([math.log(2), math.log(3)])
    with pytest.raises(ValueError, match=r"shorter|longer"):
        log_ratios([[1.0]], [[1.0], [1.0]])


def test_ratio_is_scipys_t_interval_exponentiated():
    ys = [0.01, 0.04, -0.02, 0.03, 0.05]
    expected = scipy_stats.ttest_1samp(ys, 0).confidence_interval(0.9)

    interval = ratio_interval(ys, 0.9)

    assert interval.estimate == pytest.approx(math.exp(np.mean(ys)))
    assert (interval.low, interval.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    assert not interval.excludes(1)
    assert ratio_interval([0.5, 0.51, 0.52]).excludes(1)


@pytest.mark.parametrize("pairs", [4, 8, 16])
def test_the_t_interval_covers_as_often_as_it_says(pairs):
    rng = np.random.default_rng(pairs)
    trials = 4000
    intervals = [ratio_interval(ys) for ys in rng.normal(0, 0.027, (trials, pairs))]
    # Four standard errors of the simulation, 0.34 % each.
    assert sum(not i.excludes(1) for i in intervals) / trials == pytest.approx(0.95, abs=0.014)


@pytest.mark.parametrize(("correct", "n"), [(0, 10), (10, 10), (7012, 10_000), (1, 1)])
def test_binomial_is_scipys_wilson_interval(correct, n):
    expected = scipy_stats.binomtest(correct, n).proportion_ci(0.95, method="wilson")
    interval = wilson_interval(correct, n)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert interval.estimate == correct / n


def test_holm_keeps_the_order_given_and_never_falls():
    # Worked by hand: 3 x 0.01, 2 x 0.02, and 0.03, which may not be less than the one before it.
    assert adjust_by_holm([0.02, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])
    assert adjust_by_holm([0.9, 0.8]) == [1.0, 1.0]
    assert adjust_by_holm([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: throughput(1, []),
        lambda: throughput(1, [[0.1], []]),
        lambda: throughput(1, [[0.0]]),
        lambda: throughput(1, [[math.nan]]),
        lambda: ratio_interval([]),
        lambda: ratio_interval([math.nan, 1.0]),
        lambda: wilson_interval(1, 0),
        lambda: wilson_interval(3, 2),
    ],
)
def test_impossible_figures_raise_an_error(wrong):
    with pytest.raises(ValueError, match=r"needs|share"):
        wrong()


def test_the_p_of_no_difference_is_scipys():
    ys = [0.01, 0.04, -0.02, 0.03, 0.05]
    assert t_test_p(ys) == pytest.approx(scipy_stats.ttest_1samp(ys, 0).pvalue)
    assert t_test_p([0.3]) == 1.0
    assert (t_test_p([0.5] * 3), t_test_p([0.0] * 3)) == (0.0, 1.0)


def test_mcnemar_is_the_published_exact_example():
    # Agresti, Categorical Data Analysis (2002), table 10.1: 150 and 86 change their opinion; scipy's binomial test.
    assert mcnemar_p(150, 86) == pytest.approx(scipy_stats.binomtest(86, 236, 0.5).pvalue)
    assert mcnemar_p(150, 86) < 0.0001
    assert (mcnemar_p(0, 0), mcnemar_p(3, 3)) == (1.0, 1.0)
    assert mcnemar_p(0, 5) == pytest.approx(2 * 0.5**5)


def test_a_slope_is_scipys_with_its_t_interval():
    x, y = [4.0, 4.0, 32.0, 32.0, 128.0], [10.1, 9.9, 66.0, 66.4, 258.0]
    fit = scipy_stats.linregress(x, y)
    found = slope(x, y)
    half_width = scipy_stats.t.ppf(0.975, 3) * fit.stderr
    assert (found.estimate, found.high) == pytest.approx((fit.slope, fit.slope + half_width))
    with pytest.raises(ValueError, match="two different x"):
        slope([1, 1], [2, 3])


def test_a_trend_is_found_and_noise_is_none():
    rising = [1.0, 1.02, 1.04, 1.06, 1.08, 1.10]
    assert fit_trend(rising) == pytest.approx(0.1 / 1.05)
    assert no_trend_p(rising) < 0.01
    noise = np.random.default_rng(5).normal(1, 0.05, (500, 6))
    assert sum(no_trend_p(seconds) < 0.01 for seconds in noise) / 500 <= 0.02
    slopes = [float(scipy_stats.theilslopes(seconds).slope) for seconds in noise[:20]]
    assert [fit_trend(seconds) * np.median(seconds) / 5 for seconds in noise[:20]] == pytest.approx(slopes)
    for of in (fit_trend, no_trend_p):
        with pytest.raises(ValueError, match="three values"):
            of([1.0, 2.0])


def test_two_modes_are_found_and_one_is_not_split():
    rng = np.random.default_rng(6)
    two = split_into_clusters([*rng.normal(1, 0.01, 12), *rng.normal(1.2, 0.01, 6)])
    assert (two.distance, two.share) == (pytest.approx(0.2, abs=0.02), pytest.approx(1 / 3))
    assert two.separation > 10
    false = sum(m.separation > 5 and m.share >= 0.2 for m in map(split_into_clusters, rng.normal(1, 0.05, (500, 18))))
    assert false / 500 <= 0.01


def test_an_outlier_is_the_textbooks():
    # Iglewicz & Hoaglin (1993): a modified z-score of 0.6745 (x - median) / MAD beyond 3.5.
    assert find_outliers([2.1, 2.6, 2.4, 2.5, 2.3, 2.1, 2.3, 2.6, 8.2, 8.3]) == [8, 9]
    assert find_outliers([1.0, 1.0, 1.0]) == []
