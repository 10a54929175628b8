"""The best fine-tune of a sweep, its plot and its heat maps."""

from __future__ import annotations

import io

from rich.console import Console

from backends.task import Task
from bench.plan.task_table import TASKS
from bench.records.record import Failure, Proof
from bench.report.terminal_plot import draw_line_plot
from bench.sweep.sweep_best import find_best
from bench.sweep.sweep_figures import MOST_LINES, build_accuracy_plot, build_heat_maps
from bench.sweep.sweep_record import SweepRecord
from bench.sweep.sweep_table import build_sweep_table
from tests.bench.sweep.test_sweep import make_record

VARIED = ("learning_rate", "batch_size")


def make_task(rate: float = 0.1, size: int = 32, seed: int = 0) -> Task:
    return TASKS["embedded"].model_copy(update={"learning_rate": rate, "batch_size": size, "seed": seed})


def make(number: int, correct: tuple[int | None, ...], backend: str = "keras", **fields: object) -> SweepRecord:
    task = make_task(**{name: fields.pop(name) for name in ("rate", "size", "seed") if name in fields})
    return make_record(number, correct, backend=backend, task=task, task_hash=task.hash, **fields)


def test_the_best_reached_the_target_first_and_not_the_most():
    records = [make(1, (50, 70, 99)), make(2, (70, 70, 70), rate=0.2), make(3, (10, 10, 10), rate=0.3)]
    best = find_best(records, ("learning_rate",), 0.7)
    assert best.keys == {(2, "keras")}
    assert best.sentences == (
        "Best of 3 fine-tunes: 2 keras (learning rate 0.2) reached 70% first, after 1.50 s of training.",
        "Next is 1 keras (learning rate 0.1) after 3.00 s; 2 of 3 reached it.",
        "Each was timed once: a small difference in seconds may be chance.",
    )


def test_without_a_target_the_best_has_the_highest_accuracy_and_its_rivals_are_counted():
    records = [make(1, (90,)), make(2, (92,), rate=0.2), make(3, (40,), rate=0.3)]
    best = find_best(records, ("learning_rate",), None)
    assert best.keys == {(2, "keras")}
    assert best.sentences[0].startswith(
        "Best of 3 fine-tunes: 2 keras (learning rate 0.2) with a test accuracy of 92.00 %"
    )
    assert best.sentences[1] == "1 of the others lies within its 95 % interval: not certainly worse."


def test_a_target_that_nothing_reached_has_no_best_time():
    best = find_best([make(1, (50,)), make(2, (60,), rate=0.2)], ("learning_rate",), 0.7)
    assert best.sentences[0].startswith("None of the 2 fine-tunes reached 70%; the highest accuracy is 60.00 %")
    assert find_best([make(1, (70,)), make(2, (60,), rate=0.2)], (), 0.7).sentences[-1] == "No other reached 70%."


def test_what_died_is_not_comparable_or_has_no_accuracy_is_never_the_best():
    dead = make(1, (), failure=Failure(phase="build", reason="killed", last_lines=()))
    foreign = Proof(status="failed", reason="other", checks=(), weights_hash="", order_hash="", seconds=0.0)
    records = [dead, make(2, (99,), proof=foreign), make(3, (None,)), make(4, (50,))]
    assert find_best(records, (), None).keys == {(4, "keras")}
    nothing = find_best(records[:3], (), None)
    assert nothing.records == ()
    assert nothing.sentences == (
        "There is no best: each of the 3 fine-tunes failed, is not comparable, or has random weights.",
    )


def test_seeds_count_as_one_fine_tune_so_that_a_lucky_seed_wins_nothing():
    lucky = [make(n, (correct,), rate=0.1, seed=n) for n, correct in enumerate((95, 60, 60), start=1)]
    steady = [make(n, (80,), rate=0.2, seed=n) for n in range(4, 7)]
    best = find_best([*lucky, *steady], ("learning_rate", "seed"), None)
    assert best.keys == {(4, "keras"), (5, "keras"), (6, "keras")}
    assert "4, 5, 6 keras (learning rate 0.2)" in best.sentences[0]
    first = find_best([*lucky, *steady], ("learning_rate", "seed"), 0.75)
    assert first.keys == best.keys, "the lucky seed's combination did not reach it with all of its seeds"


def make_grid() -> list[SweepRecord]:
    sizes = ((0.1, 4, 50), (0.1, 32, 60), (0.2, 4, 70), (0.2, 32, 80))
    return [
        make(number, (correct - 20, correct), backend, rate=rate, size=size)
        for number, (rate, size, correct) in enumerate(sizes, start=1)
        for backend in ("pytorch", "tensorflow", "keras")
    ]


def test_the_plot_has_the_best_of_each_backend_and_fits_80_columns():
    records = make_grid()
    best = find_best(records, VARIED, 0.75)
    plot = build_accuracy_plot(records, VARIED, 0.75, best.keys)
    assert len(plot.lines) == MOST_LINES
    assert plot.lines[0].label == "★ 4 pytorch: learning rate 0.2, batch size 32"
    assert [line.label.partition(":")[0] for line in plot.lines[1:3]] == ["4 tensorflow", "4 keras"]
    assert [line.case for line in plot.lines] == 2 * [f"{name}/default" for name in ("pytorch", "tensorflow", "keras")]
    assert plot.target == 75
    assert f"these are the best {MOST_LINES}, of each backend in turn" in plot.how_to_read
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(draw_line_plot(plot, 80))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith((" a ", " b ", " f ")) for line in lines) == 3
    assert any("┄ target 75%" in line for line in lines)


def test_the_plots_points_are_where_their_accuracy_is():
    record = make(1, (10, 90))
    text = str(draw_line_plot(build_accuracy_plot([record], (), None, ()), 80))
    rows = [line.partition("│")[2] or line.partition("┤")[2] for line in text.splitlines()]
    columns = {number: row.index("a") for number, row in enumerate(rows) if "a" in row and "│" not in row[:1]}
    (high, late), (low, early) = sorted(columns.items())[:2]
    assert high < low
    assert early < late
    assert "10" not in text.splitlines()[0]


def test_a_heat_map_has_every_combination_and_marks_the_best():
    records = make_grid()[:-1]
    best = find_best(records, VARIED, 0.75)
    maps = build_heat_maps(records, VARIED, 0.75, best.keys)
    assert [one.title for one in maps] == [
        f"{what}: embedded, {backend}"
        for backend in ("pytorch", "tensorflow", "keras")
        for what in ("Accuracy", "Seconds to 75%")
    ]
    accuracy, seconds = maps[0], maps[1]
    assert (accuracy.rows, accuracy.columns) == (("0.1", "0.2"), ("4", "32"))
    assert accuracy.values == ((50, 60), (70, 80))
    assert accuracy.best == (1, 1)
    assert seconds.texts == (("–", "–"), ("–", "3.00"))
    assert maps[4].values[1] == (70, None), "a combination that keras has not"


def test_one_field_makes_a_heat_map_of_backends():
    records = [make(1, (50,), backend, rate=0.1) for backend in ("pytorch", "keras")]
    (found,) = build_heat_maps(records, ("learning_rate",), None, ())
    assert (found.rows, found.y_title) == (("pytorch", "keras"), "backend")


def test_random_weights_have_no_plot_and_no_heat_map():
    assert build_accuracy_plot([make(1, (None,))], (), None, ()) is None
    assert build_heat_maps([make(1, (None,))], VARIED, None, ()) == []


def test_the_table_marks_the_best():
    records = make_grid()
    table = build_sweep_table(records, VARIED, 0.75, find_best(records, VARIED, 0.75).keys)
    assert [row[0].text for row in table.rows if row[0].bold] == ["★ 4 pytorch"]


def test_extractions_that_are_the_same_in_each_combination_are_a_note_and_no_column():
    def build(seconds):
        records = [
            make(number, (50,), backend, features="cached", extraction_s=seconds[number - 1])
            for number in (1, 2)
            for backend in ("pytorch", "keras")
        ]
        return build_sweep_table(records, (), None)

    same = build((8.0, 8.0))
    assert "extraction s" not in [column.name for column in same.columns]
    assert any("extraction (pytorch 8.0 s, keras 8.0 s): computing them once" in note for note in same.notes)
    several = build((8.0, 9.0))
    assert several.columns[-1].name == "extraction s"
    assert [row[-1].text for row in several.rows] == ["8.0", "8.0", "9.0", "9.0"]
