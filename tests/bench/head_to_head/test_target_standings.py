"""What the launches of tests decide, by simulated launches."""

from __future__ import annotations

import math
import random
import re

import pytest

from bench.analysis.statistics import Interval
from bench.head_to_head.stored_targets import OutputCheck, StoredTargets, TargetLaunch
from bench.head_to_head.target_standings import choose_outcome, describe_sameness, find_standings, list_sentences
from bench.head_to_head.target_tables import build_page, build_tables, format_csv, format_time
from bench.parity.output_comparison import OutputComparison
from bench.records.launch_figures import LaunchFigures
from bench.report.html.page_writer import render_page
from tests.bench.example_records import QUIET

LABELS = ("test_torch", "test_jax", "test_tf")


def simulate(
    *factors: float, launches: int = 6, rounds: int = 4, seed: int = 0, output: OutputCheck | None = None
) -> StoredTargets:
    """Launches of tests that take `factors` times 2 ms; launches differ by 5 %, and tests within a launch by 1 %."""
    draw = random.Random(seed)

    def measure(label: str, seconds: float) -> LaunchFigures:
        times = tuple(seconds * math.exp(draw.gauss(0, 0.01)) for _ in range(rounds))
        return LaunchFigures(label, {"step": times, "first-step": (0.1,), "host-memory": (500 * 2**20,)})

    found = []
    for _ in range(launches):
        machine = 0.002 * math.exp(draw.gauss(0, 0.05))
        figures = tuple(measure(label, machine * factor) for label, factor in zip(LABELS, factors, strict=False))
        found.append(TargetLaunch(figures=figures, conditions=(QUIET,)))
    labels = LABELS[: len(factors)]
    return StoredTargets(
        started="2026-11-28T12:00:00+00:00",
        about={"run": {"command": "run --target a --target b"}},
        names=tuple(f"tests/test_steps.py::{label}" for label in labels),
        labels=labels,
        output=output,
        launches=tuple(found),
    )


def describe(result: StoredTargets) -> str:
    return " ".join(list_sentences(result, find_standings(result)))


def test_a_difference_of_30_per_cent_is_found_and_named():
    standings = find_standings(result := simulate(1.3, 1.0))
    assert (choose_outcome(standings), standings.winner) == ("winner", 1)
    ratio = standings.ratios[1]
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low < 1.3 < ratio.high
    assert describe(result).startswith("test_jax is 1.30 [1.")
    assert describe(result).endswith("times as fast as test_torch.")
    other = simulate(1.0, 1.3)
    assert find_standings(other).winner == 0
    assert re.fullmatch(r"test_torch is 1\.3\d \[\S+\] times as fast as test_jax\.", describe(other))


def test_equal_tests_are_seldom_called_different():
    """The share is that of the significance level, 5 %: of 400 comparisons, 20 are expected, and 32 are rare."""
    outcomes = [choose_outcome(find_standings(simulate(1.0, 1.0, seed=seed))) for seed in range(400)]
    assert outcomes.count("winner") <= 32
    assert outcomes.count("no difference") >= 360
    assert describe(simulate(1.0, 1.0)).startswith("No difference in speed was found between ")
    assert "% is excluded." in describe(simulate(1.0, 1.0))


def test_two_launches_are_too_few_for_a_verdict():
    result = simulate(1.3, 1.0, launches=2)
    assert choose_outcome(find_standings(result)) == "too few launches"
    assert describe(result).startswith("There are not enough launches to tell which is faster; at least 3 are needed.")


def test_of_three_tests_each_pair_is_decided():
    result = simulate(1.3, 1.0, 1.001)
    assert choose_outcome(find_standings(result)) == "not certain"
    text = describe(result)
    assert "test_jax is " in text
    assert "test_tf is " in text
    assert "No difference found between " in text
    assert "after Holm's correction for the 3 comparisons" in " ".join(build_tables(result, full=False)[0].notes)


def test_without_a_check_the_table_says_that_sameness_is_your_word():
    table, every = build_tables(simulate(1.3, 1.0), full=True)
    assert table.notes[0].startswith("that these do the same is your word: ")
    assert [column.name for column in table.columns] == [
        "test",
        "time per call",
        "ratio to test_torch",
        "first call",
        "host MB",
        "launches × rounds",
    ]
    assert [cell.text for cell in table.rows[1]][3:] == ["100.0 ms", "500", "6 × 4"]
    assert table.rows[1][1].bold
    assert not table.rows[0][1].bold
    assert len(every.rows) == 6


def test_outputs_that_are_the_same_are_said_to_be():
    same = OutputCheck(tolerance=1e-4, comparisons=(OutputComparison("test_jax", 3e-6, "['loss']", ()),))
    assert describe_sameness(simulate(1.0, 1.0, output=same)) == (
        "their first calls return the same (a relative difference of at most 3e-06, of ['loss']; tolerance 0.0001); "
        "that they do the same otherwise is your word"
    )


def test_outputs_that_differ_leave_no_verdict_on_speed():
    comparison = OutputComparison("test_jax", 0.1, "['loss']", ("['loss']: 2 in place of 1", "the first one has [0]"))
    differing = OutputCheck(tolerance=1e-4, comparisons=(comparison,))
    result = simulate(1.3, 1.0, launches=0, output=differing)
    assert choose_outcome(find_standings(result)) == "different output"
    assert describe(result) == (
        "test_jax returns something else than test_torch: ['loss']: 2 in place of 1, and in 1 more place (tolerance "
        "0.0001). So there is no verdict on speed, and none was measured."
    )
    assert build_tables(result, full=True) == []
    assert "returns something else than test_torch" in render_page(build_page(result))


def test_the_page_has_the_verdict_the_plot_and_the_command():
    text = render_page(build_page(simulate(1.3, 1.0)))
    parts = ("times as fast as test_torch", "Speed, × test_torch", "is your word", "bench run --target a --target b")
    for part in parts:
        assert part in text, part


def test_the_csv_has_a_row_for_each_test_and_launch():
    header, *rows = format_csv(simulate(1.0, 1.3, launches=2)).splitlines()
    assert header == "launch,target,rounds,seconds_per_call,first_call_s,peak_host_mb,nvml_device_mb"
    assert [row.split(",")[:3] for row in rows] == [
        [launch, f"tests/test_steps.py::{label}", "4"] for launch in "12" for label in LABELS[:2]
    ]
    assert rows[0].endswith(",0.1,500.0,")


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(1.5, None, None), "1.500 s"),
        (Interval(0.0123456, 0.0121, 0.0126), "12.35 [12.10–12.60] ms"),
        (Interval(4.2e-7, None, None), "420.0 ns"),
        (Interval(1234.5, None, None), "1,234 s"),
    ],
)
def test_times_have_four_digits(interval, text):
    assert format_time(interval) == text
