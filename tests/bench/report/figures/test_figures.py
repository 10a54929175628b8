"""The figures of a run show what its tables say, in colours that everyone can tell apart."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from bench.analysis.launches import group_by_task
from bench.analysis.statistics import wilson_interval
from bench.report.figures.accuracy_figures import (
    build_accuracy_by_epoch,
    build_accuracy_by_seconds,
    build_loss_by_epoch,
)
from bench.report.figures.case_colours import (
    BACKEND_COLOURS,
    BETTER,
    OTHER_COLOURS,
    WORSE,
    choose_colours,
    choose_markers,
)
from bench.report.figures.cost_figure import build_cost_bars
from bench.report.figures.memory_figure import build_memory_bars
from bench.report.figures.ratio_figure import build_ratio_plot
from bench.report.figures.start_up_figures import build_break_even_plot, build_start_up_bars
from bench.report.figures.throughput_figure import build_throughput_plot
from bench.report.tables.throughput_table import build_throughput_table
from tests.bench.example_records import BROKEN, TASK, died, launches, record

BACKGROUNDS = ("#ffffff", "#14161a")
#: What a person with deuteranopia and one with protanopia sees of linear RGB (Machado, Oliveira & Fernandes 2009).
BLINDNESS = (
    ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
)


def to_linear(colour: str) -> np.ndarray:
    shares = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(to_linear(colour) @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("colour", [*BACKEND_COLOURS.values(), *OTHER_COLOURS, BETTER, WORSE])
def test_a_colour_stands_out_from_the_page(colour, background):
    low, high = sorted((luminance(colour), luminance(background)))
    assert (high + 0.05) / (low + 0.05) >= 3


@pytest.mark.parametrize("matrix", [np.eye(3), *map(np.array, BLINDNESS)], ids=["all", "deuteranopia", "protanopia"])
def test_the_frameworks_colours_can_be_distinguished(matrix):
    seen = [np.clip(matrix @ to_linear(colour), 0, 1) ** (1 / 2.4) for colour in BACKEND_COLOURS.values()]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)) > 0.24


def test_a_frameworks_colour_is_the_same_everywhere_and_its_variants_differ_in_the_marker():
    alone = choose_colours(["keras/tuned"])
    among = choose_colours(["pytorch/default", "jax/default", "keras/default", "keras/tuned", "mine"])
    assert alone["keras/tuned"] == among["keras/default"] == among["keras/tuned"] == BACKEND_COLOURS["keras"]
    assert among["jax/default"] != among["mine"]
    markers = choose_markers(["keras/default", "keras/tuned", "keras/a", "keras/b"])
    assert len(set(markers.values())) == 4


def make_task(*records):
    return group_by_task(records)[0]


def test_the_ratios_are_those_of_the_throughput_table():
    task = make_task(
        *launches("pytorch", 6, step_ms=5),
        *launches("tensorflow", 6, step_ms=2, proof=BROKEN),
        *launches("keras", 6, step_ms=6.4),
    )
    table = build_throughput_table(task, "pytorch")
    for kind, column in (("pipeline", 2), ("compute", 4)):
        plot = build_ratio_plot(task, "pytorch", kind)
        texts = [row.text.removesuffix(", the reference") for row in plot.rows]
        assert texts == [row[column].text for row in table.rows]
        assert [row.interval is None for row in plot.rows] == [False, True, False]
    assert build_ratio_plot(task, "keras", "pipeline").rows[0].interval.estimate > 1


def test_an_uncertain_ratio_is_open():
    task = make_task(*launches("pytorch", 3, noise=0.05), *launches("keras", 3, step_ms=5.1, noise=0.05))
    assert [row.certain for row in build_ratio_plot(task, "pytorch", "pipeline").rows] == [True, False]


def test_every_round_is_a_dot_and_a_thinned_figure_says_so():
    task = make_task(*launches("pytorch", 3, rounds=40))
    whole = build_throughput_plot(task, "pipeline")
    assert sum(len(group.values) for group in whole.rows[0].groups) == 120
    assert whole.omitted == 0
    thin = build_throughput_plot(task, "pipeline", most_dots=30)
    assert thin.omitted == 90
    assert "90 of 120 rounds are not drawn" in thin.how_to_read
    for all_of_it, kept in zip(whole.rows[0].groups, thin.rows[0].groups, strict=True):
        assert (min(kept.values), max(kept.values)) == (min(all_of_it.values), max(all_of_it.values))
        assert kept.centre == all_of_it.centre


def test_the_parts_of_a_bar_add_up_to_what_stands_at_its_end():
    task = make_task(*launches("pytorch", 1), *launches("keras", 1))
    for row in build_cost_bars(task).rows:
        assert float(row.text.removesuffix(" s")) == pytest.approx(sum(row.values), abs=0.2)
    start = build_start_up_bars(task)
    assert start.rows[0].text == f"{sum(start.rows[0].values):.2f} s" == "4.50 s"


def test_memory_has_the_processes_of_the_input_pipeline():
    groups = {group.label: group for group in build_memory_bars(make_task(*launches("pytorch", 3))).groups}
    assert list(groups) == ["interpreter", "import", "build", "training"]
    assert groups["training"].bars[0].value == pytest.approx(880 + 10 + 20)
    assert groups["training"].bars[0].mark == pytest.approx(880)


def test_lines_cross_where_the_longer_start_up_is_amortised():
    records = [*launches("pytorch", 3, step_ms=5, noise=1e-9), *launches("keras", 3, step_ms=10, noise=1e-9)]
    slow = [
        each.model_copy(update={"start_up": each.start_up.model_copy(update={"import_s": 1.0})}) for each in records[3:]
    ]
    plot = build_break_even_plot(make_task(*records[:3], *slow))
    (first, end), (other, other_end) = (line.points for line in plot.lines)
    # 2.1 s of import against 1 s, at 5 ms a step.
    crossing = (first.y - other.y) / ((other_end.y - other.y - end.y + first.y) / end.x)
    assert crossing == pytest.approx(220, rel=1e-3)
    assert end.x == pytest.approx(440, abs=1)


def test_accuracy_and_loss_have_their_units():
    task = make_task(*launches("pytorch", 3, correct=7012))
    assert [point.y for point in build_loss_by_epoch(task).lines[0].points] == [1.1234, 0.9876]
    (point,) = build_accuracy_by_epoch(task).lines[0].points
    assert point.y == pytest.approx(70.12)
    assert point.low < 70.12 < point.high
    (point,) = build_accuracy_by_seconds(task).lines[0].points
    assert point.x == 131.0, "seconds of training of the middle launch"


def add_epochs(made, correct: tuple[int, ...], seed: int = 0):
    """The record with the accuracy after each of two epochs, of 2,000 of 10,000 test images."""
    (tune,) = made.fine_tunes
    epochs = {"epoch_seconds": (tune.seconds / 2, tune.seconds), "epoch_correct": correct, "epoch_test_images": 2000}
    return made.model_copy(update={"fine_tunes": (tune.model_copy(update={**epochs, "seed": seed}),)})


def test_accuracy_has_a_point_for_each_epoch_with_the_interval_of_its_images():
    records = [add_epochs(each, (1200, 1400)) for each in launches("pytorch", 3, correct=7012)]
    by_epoch, by_seconds = build_accuracy_by_epoch(make_task(*records)), build_accuracy_by_seconds(make_task(*records))
    points = by_epoch.lines[0].points
    assert [(point.x, point.y) for point in points] == [(1, 60.0), (2, 70.0)]
    first = wilson_interval(1200, 2000)
    assert (points[0].low, points[0].high) == (100 * first.low, 100 * first.high)
    assert [(point.x, point.y) for point in by_seconds.lines[0].points] == [(65.5, 60.0), (131.0, 70.0)]
    for plot in (by_epoch, by_seconds):
        assert "first 2,000 of 10,000 test images" in plot.how_to_read
        assert "single point" not in plot.how_to_read


def test_the_accuracy_of_several_seeds_is_their_mean():
    records = [add_epochs(each, (1200 + 100 * seed, 1400), seed) for seed, each in enumerate(launches("pytorch", 3))]
    first, last = build_accuracy_by_epoch(make_task(*records)).lines[0].points
    assert first.y == pytest.approx(65.0)
    assert first.high - first.low > 10 > last.high - last.low, "t-interval of 60, 65 and 70 %"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trainable": "all"}, "more than the head is trained"),
        ({"batch_norm": "batch_stats"}, "batch norm moves its statistics"),
        ({}, "no record of earlier epochs"),
    ],
)
def test_a_single_point_says_why_it_is_alone(fields, reason):
    task = make_task(*launches("pytorch", 2, task=TASK.model_copy(update=fields), correct=7012))
    assert task.task.epochs > 1
    for plot in (build_accuracy_by_epoch(task), build_accuracy_by_seconds(task)):
        assert len(plot.lines[0].points) == 1
        assert reason in plot.how_to_read
    alone = make_task(*launches("pytorch", 2, task=TASK.model_copy(update={"epochs": 1}), correct=7012))
    assert "single point" not in build_accuracy_by_epoch(alone).how_to_read


def test_cases_with_and_without_earlier_epochs_share_a_figure():
    with_epochs = [add_epochs(each, (1200, 1400)) for each in launches("pytorch", 2)]
    plot = build_accuracy_by_epoch(make_task(*with_epochs, *launches("keras", 2)))
    assert [len(line.points) for line in plot.lines] == [2, 1]
    assert plot.lines[1].points[0].x == 2
    assert "Some launches have no record of earlier epochs" in plot.how_to_read


def test_what_was_not_measured_is_no_figure():
    random = TASK.model_copy(update={"weights": "random"})
    task = make_task(*launches("pytorch", 2, task=random, correct=None))
    assert build_accuracy_by_epoch(task) is None
    dead = make_task(died(record(), "import", "ImportError: it", []))
    assert build_loss_by_epoch(dead) is None
    assert build_break_even_plot(dead) is None
    assert build_ratio_plot(dead, "pytorch", "pipeline").rows[0].text == "failed in import"
    assert build_throughput_plot(dead, "pipeline").rows[0].groups == ()
    assert build_cost_bars(dead).rows[0].text == "failed in import"
    assert build_memory_bars(dead).groups == ()
    assert not math.isnan(sum(build_start_up_bars(dead).rows[0].values))
