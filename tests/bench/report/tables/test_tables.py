"""The tables: one golden Markdown file per outcome, so that a change of wording shows in review.

`GOLDEN=write pytest tests/bench/report/tables` writes the files again after an intended change.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from backends.task import Task
from bench.analysis.launches import group_by_task
from bench.errors import UserError
from bench.records.record import Check
from bench.report.exporters import Report
from bench.report.markdown import export
from bench.report.tables import Table, build_tables
from bench.report.tables.summary_table import build_summary_table
from tests.bench.example_records import BROKEN, MB, NOISY, PROVEN, TASK, died, launches, record

GOLDEN = Path(__file__).parent / "golden"
RANDOM = Task(**TASK.model_dump() | {"weights": "random", "batch_size": 128, "train_limit": 2000})

NORMAL = [
    *launches("pytorch", 6, step_ms=5.0),
    *launches("pytorch", 6, step_ms=3.0, variant="tuned"),
    *launches("tensorflow", 6, step_ms=6.4, warnings=[NOISY]),
    *launches("keras", 6, step_ms=6.4, noise=0.03),
]

OUTCOMES = {
    "normal": lambda: build_tables(NORMAL),
    "not_comparable": lambda: build_tables(
        [*launches("pytorch", 6), *launches("tensorflow", 6, step_ms=2, proof=BROKEN), *launches("keras", 6)]
    ),
    "failed": lambda: build_tables(
        [
            *launches("pytorch", 3),
            *launches("tensorflow", 2),
            died(
                record("tensorflow", 2),
                "training",
                "killed by signal 9: out of memory?",
                ["step 40", "Killed"],
            ),
            died(record("keras"), "import", "ImportError: libcudart.so.13", ["Traceback …", "```", "| a pipe"]),
        ],
        skipped={"jax": "the package jax is missing: pip install 'head-to-head[jax]'"},
    ),
    "random_weights": lambda: build_tables(
        [
            each.model_copy(update={"checkpoint_hash": "random"})
            for backend in ("pytorch", "keras")
            for each in launches(
                backend,
                3,
                task=RANDOM,
                correct=None,
                overridden=["weights=random", "batch_size", "train_limit"],
            )
        ]
    ),
    "offline": lambda: build_tables(
        launches("pytorch", 2), banner="CIFAR-10 is not here and cannot be fetched:\nthese are digits."
    ),
    "single_launch": lambda: build_tables([record("pytorch"), record("tensorflow", step_ms=9)]),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_outcome_has_its_golden_text(outcome):
    path = GOLDEN / f"{outcome}.md"
    text = export(Report(records=[], tables=OUTCOMES[outcome]()))
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.md")} == set(OUTCOMES)


def test_a_clear_winner_is_bold_and_a_tie_is_not():
    clear = build_tables([*launches("pytorch", 6, step_ms=5), *launches("keras", 6, step_ms=8)])
    assert bold(clear[0]) == ["pytorch/default"] * 2

    # 3 % faster and 3 % slower in turn.
    keras = [record("keras", launch, step_ms=5 * 1.03 ** (-1) ** launch) for launch in range(6)]
    tie = build_tables([*launches("pytorch", 6, step_ms=5), *keras])
    assert bold(tie[0]) == []
    assert "no difference found (± " in text(tie[0], "keras/default", 2)


def test_a_case_that_is_not_comparable_is_not_bold_and_another_can_be():
    made = [
        *launches("pytorch", 6, step_ms=5),
        *launches("keras", 6, step_ms=8),
        *launches("tensorflow", 6, step_ms=2, proof=BROKEN),
    ]
    table = build_tables(made)[0]
    assert bold(table) == ["pytorch/default"] * 2
    reason = "not comparable: the first step's loss differs by 2.0e-02"
    assert text(table, "tensorflow/default", 2) == reason


def test_without_a_comparable_reference_there_is_no_ratio():
    table = build_tables([*launches("pytorch", 3, proof=BROKEN), *launches("keras", 3)])[0]
    expected = "not comparable: pytorch/default: the first step's loss differs by 2.0e-02"
    assert text(table, "keras/default", 2) == expected


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("dataset_fingerprint", "other images than pytorch/default"),
        ("checkpoint_hash", "another checkpoint than pytorch/default"),
    ],
)
def test_other_images_or_another_checkpoint_are_not_compared(field, reason):
    others = [each.model_copy(update={field: "other"}) for each in launches("keras", 6, step_ms=9)]
    table = build_tables([*launches("pytorch", 6), *others])[0]
    assert text(table, "keras/default", 2) == f"not comparable: {reason}"
    assert bold(table) == []


def test_the_ratio_is_per_image_whatever_a_round_holds():
    other = [
        each.model_copy(update={"pipeline": each.pipeline.model_copy(update={"images": each.pipeline.images * 2})})
        for each in launches("keras", 6, step_ms=4, noise=1e-5)
    ]
    table = build_tables([*launches("pytorch", 6, noise=1e-5), *other])[0]
    assert text(table, "keras/default", 1) == "2,000 [2,000–2,000]"
    assert text(table, "keras/default", 2) == "2.50 [2.50–2.50]"
    assert text(table, "keras/default", 4) == "1.250 [1.250–1.250]"


def test_ratios_may_be_to_another_backend_or_one_variant():
    assert build_tables(NORMAL, "keras")[0].columns[2].name == "pipeline ratio to keras/default"
    assert build_tables(NORMAL, "pytorch/tuned")[0].columns[2].name == "pipeline ratio to pytorch/tuned"
    absent = build_tables(launches("keras", 2), "pytorch")[0]
    assert text(absent, "keras/default", 2) == "no reference"
    with pytest.raises(UserError, match="unknown backend 'pytroch': did you mean 'pytorch'"):
        build_tables(NORMAL, "pytroch")


def test_figures_of_a_gpu_are_never_zero_without_one():
    table = build_tables(launches("pytorch", 3))[1]
    assert [cell.text for cell in table.rows[0]] == ["pytorch/default", "910", "510", "no GPU", "no GPU"]

    made = record()
    memory = made.memory.model_copy(update={"device_allocated": 50 * MB, "device_reserved": 64 * MB})
    on_gpu = made.model_copy(update={"memory": memory, "variant": made.variant.model_copy(update={"device": "cuda"})})
    cells = [cell.text for cell in build_tables([on_gpu])[1].rows[0]]
    assert cells[3:] == ["50 (reserved 64)", "not measured"]


def titled(title: str, made: list[Table]) -> Table:
    return next(table for table in made if table.title.startswith(title))


def test_a_note_names_fine_tunes_of_one_seed_that_differ_in_accuracy():
    made = [record("keras", 0, correct=7000), record("keras", 1, correct=7010)]
    notes = titled("Accuracy", build_tables(made)).notes
    assert notes[-1] == "keras/default: 2 fine-tunes with seed 0 classify 7,000 to 7,010 test images correctly"


def test_accuracy_over_seeds_has_a_t_interval_and_backends_are_compared_by_mcnemar():
    made = []
    for backend, extra in (("pytorch", 0), ("keras", 40)):
        for launch, correct in enumerate((7000, 7100, 7200)):
            each = record(backend, launch, correct=correct + extra)
            made.append(
                each.model_copy(update={"fine_tunes": (each.fine_tunes[0].model_copy(update={"seed": launch}),)})
            )
    table = titled("Accuracy", build_tables(made))
    half_width = 100 * stats.t.ppf(0.975, 2) * 0.01 / 3**0.5
    assert text(table, "pytorch/default", 2) == f"71.00 % [{71 - half_width:.2f}–{71 + half_width:.2f}]"
    assert text(table, "pytorch/default", 3) == "3"
    # Correct only in keras: the 40 images between the two counts of the first seed.
    note = (
        "pytorch/default and keras/default: 0 test images are correct only in the first, 40 only in the second; "
        "the difference is certain"
    )
    assert any(each.startswith(note) for each in table.notes)


def test_a_difference_that_is_not_significant_after_holm_is_not_certain():
    # One comparison of four pairs with p of about 0.02; among five others without a difference it is not significant.
    ys = (0.02, 0.05, 0.03, 0.06)
    mine = [record("keras", n, step_ms=5 * math.exp(-y), noise=1e-9) for n, y in enumerate(ys)]
    theirs = [record("pytorch", n, step_ms=5, noise=1e-9) for n in range(4)]
    others = [record("tensorflow", n, step_ms=5 * 1.05 ** (-1) ** n, noise=1e-9) for n in range(4)]
    table = build_tables([*theirs, *mine, *others])[0]
    assert text(table, "keras/default", 2).endswith("not certain")
    assert bold(table) == []
    alone = build_tables([*theirs, *mine])[0]
    assert bold(alone) == ["keras/default"] * 2


def test_the_parts_add_up_to_the_wall_time():
    table = titled("Wall time", build_tables([record("pytorch")]))
    wall, *parts = (float(cell.text.split()[0].replace(",", "")) for cell in table.rows[0][1:])
    assert sum(parts) == pytest.approx(wall, rel=0.03)
    # A step takes 5 ms with its input pipeline, and 0.8 of that without.
    assert parts[3] / (parts[3] + parts[4]) == pytest.approx(0.2, abs=0.02)


def test_the_hidden_share_of_loading_is_the_time_that_a_step_saves():
    # Loading takes 0.3 of a step, compute 0.8: a tenth of a step is hidden, a third of the loading.
    table = titled("Loading", build_tables(launches("pytorch", 6, noise=1e-6)))
    assert text(table, "pytorch/default", 4) == "33%"


def test_a_longer_start_up_is_amortised_by_faster_steps():
    slow = [record("pytorch", n, step_ms=6, noise=1e-4) for n in range(4)]
    faster = [record("keras", n, step_ms=5, noise=1e-4) for n in range(4)]
    longer = [
        each.model_copy(update={"start_up": each.start_up.model_copy(update={"build_s": 2.5})}) for each in faster
    ]
    break_even = text(titled("Start-up", build_tables([*slow, *longer])), "keras/default", 4)
    assert break_even.startswith(("ahead after 2,0", "ahead after 1,99"))
    break_even = text(titled("Start-up", build_tables([*slow, *longer], "keras")), "pytorch/default", 4)
    assert break_even.startswith("behind after ")
    break_even = text(titled("Start-up", build_tables([*slow, *faster])), "keras/default", 4)
    assert break_even == "ahead from the start"


def test_memory_per_image_is_a_slope_over_three_batch_sizes():
    made = []
    for position, size in enumerate((4, 32, 128)):
        task = Task(**TASK.model_dump() | {"batch_size": size})
        for each in launches("pytorch", 3, task=task):
            grown = [
                phase.model_copy(update={"peak": (800 + 2 * size) * MB}) if phase.name == "training" else phase
                for phase in each.memory.host
            ]
            memory = each.memory.model_copy(update={"host": tuple(grown)})
            made.append(each.model_copy(update={"memory": memory, "position": position}))
    table = titled("Memory per image", build_tables(made))
    assert [cell.text for cell in table.rows[0]][2:] == ["4, 32, 128", "2.00 [2.00–2.00]", "no GPU"]
    assert not any(each.title.startswith("Memory per image") for each in build_tables(launches("pytorch", 3)))


def test_the_parity_table_shows_the_worst_launch():
    made = [record("keras", 0), record("keras", 1, proof=BROKEN)]
    table = titled("Parity", build_tables([record("pytorch"), *made]))
    assert text(table, "verdict", 3) == "not comparable: failed"
    assert text(table, "first_step", 3) == "2.0e-02 FAILED"


@pytest.mark.parametrize("levels", [0.0, 0.75])
def test_tables_say_how_far_the_images_are_that_a_case_decodes_itself(levels):
    detail = "grey levels of 255 on average, 4 at most, of 16 images that it decodes"
    check = Check(name="decoding", difference=levels, tolerance=2.0, passed=True, detail=detail)
    proof = PROVEN.model_copy(update={"checks": (*PROVEN.checks, check)})
    made = [*launches("pytorch", 3), *launches("tensorflow", 3, proof=proof)]
    tables = [table for table in build_tables(made) if table.title.startswith(("Throughput", "Parity"))]
    tables.append(build_summary_table(group_by_task(made)[0], "pytorch"))
    note = f"tensorflow/default decodes other pixels: they differ by 0.75 {detail}"
    assert [note in table.notes for table in tables] == [levels > 0] * 3


def test_tasks_have_tables_of_their_own_and_a_run_without_records_has_none():
    assert build_tables([]) == []
    made = build_tables([record("pytorch"), record("pytorch", task=RANDOM)])
    assert [table.title.partition(":")[0] for table in made] == [
        "Throughput",
        "Memory",
        "Host memory by phase",
        "Accuracy",
        "Start-up",
        "Wall time of the whole fine-tune",
        "Loading",
        "Parity",
    ] * 2
    assert {table.banner for table in build_tables(NORMAL, banner="careful")} == {"careful"}
    assert all(
        replace(t, banner=None) == u
        for t, u in zip(build_tables(NORMAL, banner="x"), build_tables(NORMAL), strict=True)
    )


def bold(table: Table) -> list[str]:
    return [row[0].text for row in table.rows for cell in row if cell.bold]


def text(table: Table, case: str, column: int) -> str:
    return next(row[column].text for row in table.rows if row[0].text == case)


def test_a_backbone_that_is_not_the_tasks_own_is_in_the_title():
    other = Task(**TASK.model_dump() | {"backbone": "timm/vit_tiny_patch16_224", "weights": "random"})
    tasks = [group_by_task(launches("pytorch", 3, task=task))[0] for task in (TASK, other)]
    titles = [build_summary_table(task, "pytorch").title for task in tasks]
    assert [title.partition("batch")[0] for title in titles] == [
        f"{TASK.name}: ",
        f"{TASK.name}: timm/vit_tiny_patch16_224, ",
    ]
