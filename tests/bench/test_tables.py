"""The tables: one golden Markdown file per outcome, so that a change of wording shows in review.

After a change that is meant, `GOLDEN=write pytest tests/bench/test_tables.py` writes the files anew.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from backends.task import Task
from bench.errors import UserError
from bench.report import Report
from bench.report.markdown import export
from bench.tables import Table, tables
from tests.bench.made import BROKEN, MB, NOISY, TASK, died, launches, record

GOLDEN = Path(__file__).parent / "golden"
RANDOM = Task(**TASK.model_dump() | {"weights": "random", "batch_size": 128, "train_limit": 2000})

NORMAL = [
    *launches("pytorch", 6, step_ms=5.0),
    *launches("pytorch", 6, step_ms=3.0, variant="tuned"),
    *launches("tensorflow", 6, step_ms=6.4, warnings=[NOISY]),
    *launches("keras", 6, step_ms=6.4, noise=0.03),
]

OUTCOMES = {
    "normal": lambda: tables(NORMAL),
    "not_comparable": lambda: tables(
        [*launches("pytorch", 6), *launches("tensorflow", 6, step_ms=2, proof=BROKEN), *launches("keras", 6)]
    ),
    "failed": lambda: tables(
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
    "random_weights": lambda: tables(
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
    "offline": lambda: tables(
        launches("pytorch", 2), banner="CIFAR-10 is not here and cannot be fetched:\nthese are digits."
    ),
    "single_launch": lambda: tables([record("pytorch"), record("tensorflow", step_ms=9)]),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_outcome_reads_as_it_did(outcome):
    path = GOLDEN / f"{outcome}.md"
    text = export(Report(records=[], tables=OUTCOMES[outcome]()))
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.md")} == set(OUTCOMES)


def test_a_clear_winner_is_bold_and_a_tie_is_not():
    clear = tables([*launches("pytorch", 6, step_ms=5), *launches("keras", 6, step_ms=8)])
    assert bold(clear[0]) == ["pytorch/default"] * 2

    # 3 % faster and 3 % slower in turn.
    keras = [record("keras", launch, step_ms=5 * 1.03 ** (-1) ** launch) for launch in range(6)]
    tie = tables([*launches("pytorch", 6, step_ms=5), *keras])
    assert bold(tie[0]) == []
    assert "no difference found (± " in text(tie[0], "keras/default", 2)


def test_a_case_that_is_not_comparable_is_neither_bold_nor_stops_another_from_being():
    made = [
        *launches("pytorch", 6, step_ms=5),
        *launches("keras", 6, step_ms=8),
        *launches("tensorflow", 6, step_ms=2, proof=BROKEN),
    ]
    table = tables(made)[0]
    assert bold(table) == ["pytorch/default"] * 2
    reason = "not comparable: the first step's loss differs by 2.0e-02"
    assert text(table, "tensorflow/default", 2) == reason


def test_without_a_comparable_reference_there_is_no_ratio():
    table = tables([*launches("pytorch", 3, proof=BROKEN), *launches("keras", 3)])[0]
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
    table = tables([*launches("pytorch", 6), *others])[0]
    assert text(table, "keras/default", 2) == f"not comparable: {reason}"
    assert bold(table) == []


def test_the_ratio_is_per_image_whatever_a_round_holds():
    other = [
        each.model_copy(update={"pipeline": each.pipeline.model_copy(update={"images": each.pipeline.images * 2})})
        for each in launches("keras", 6, step_ms=4, noise=1e-5)
    ]
    table = tables([*launches("pytorch", 6, noise=1e-5), *other])[0]
    assert text(table, "keras/default", 1) == "2,000 [2,000–2,000]"
    assert text(table, "keras/default", 2) == "2.50 [2.50–2.50]"
    assert text(table, "keras/default", 4) == "1.250 [1.250–1.250]"


def test_ratios_may_be_to_another_backend_or_one_variant():
    assert tables(NORMAL, "keras")[0].columns[2].name == "pipeline × keras/default"
    assert tables(NORMAL, "pytorch/tuned")[0].columns[2].name == "pipeline × pytorch/tuned"
    absent = tables(launches("keras", 2), "pytorch")[0]
    assert text(absent, "keras/default", 2) == "no reference"
    with pytest.raises(UserError, match="unknown backend 'pytroch': did you mean 'pytorch'"):
        tables(NORMAL, "pytroch")


def test_what_needs_a_gpu_says_so_and_never_shows_a_zero():
    table = tables(launches("pytorch", 3))[1]
    assert [cell.text for cell in table.rows[0]] == ["pytorch/default", "910", "510", "no GPU", "no GPU"]

    made = record()
    memory = made.memory.model_copy(update={"device_allocated": 50 * MB, "device_reserved": 64 * MB})
    on_gpu = made.model_copy(update={"memory": memory, "variant": made.variant.model_copy(update={"device": "cuda"})})
    cells = [cell.text for cell in tables([on_gpu])[1].rows[0]]
    assert cells[3:] == ["50 (reserved 64)", "not measured"]


def test_launches_that_disagree_on_accuracy_are_told():
    made = [record("keras", 0, correct=7000), record("keras", 1, correct=7010)]
    assert tables(made)[2].notes[-1] == "keras/default: 7,000 to 7,010 correct in 2 launches of the same seed"


def test_the_worst_launch_is_shown_in_the_proof():
    made = [record("keras", 0), record("keras", 1, proof=BROKEN)]
    table = tables([record("pytorch"), *made])[4]
    assert text(table, "verdict", 3) == "not comparable: failed"
    assert text(table, "first_step", 3) == "2.0e-02 FAILED"


def test_tasks_have_tables_of_their_own_and_a_run_without_records_has_none():
    assert tables([]) == []
    made = tables([record("pytorch"), record("pytorch", task=RANDOM)])
    assert [table.title.partition(":")[0] for table in made] == [
        "Throughput",
        "Memory",
        "Accuracy",
        "Start-up",
        "Parity",
    ] * 2
    assert {table.banner for table in tables(NORMAL, banner="careful")} == {"careful"}
    assert all(replace(t, banner=None) == u for t, u in zip(tables(NORMAL, banner="x"), tables(NORMAL), strict=True))


def bold(table: Table) -> list[str]:
    return [row[0].text for row in table.rows for cell in row if cell.bold]


def text(table: Table, case: str, column: int) -> str:
    return next(row[column].text for row in table.rows if row[0].text == case)
