"""The verdict: one golden text for each outcome, and never more than the tables decide.

`GOLDEN=write pytest tests/bench/report` writes the file again after an intended change.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np
import pytest

from backends import get_title
from backends.task import Task
from bench.analysis.launches import group_by_task
from bench.records.correct_images import encode_correct_images
from bench.records.record import CachedFeatures, Record
from bench.report.standings import find_standings
from bench.report.tables import build_tables
from bench.report.verdict import build_verdict
from tests.bench.example_records import BROKEN, TASK, died, record

GOLDEN = Path(__file__).parent / "golden_verdicts.md"
RANDOM = Task(**TASK.model_dump() | {"weights": "random", "dataset": "digits"})


def steps(backend: str, ratios: list[float], **fields: object) -> list[Record]:
    """Launches whose steps are faster than 5 ms by these ratios, without any other noise."""
    return [record(backend, n, step_ms=5 / ratio, noise=1e-9, **fields) for n, ratio in enumerate(ratios)]


def vary(ratio: float, percent: float, count: int = 4) -> list[float]:
    """Ratios that vary by this percentage around a mean."""
    return [ratio * math.exp(percent / 100 * (-1) ** n) for n in range(count)]


def waiting(records: list[Record], wall_s: float) -> list[Record]:
    """The same launches, whose whole fine-tune takes so long."""
    made = []
    for each in records:
        start = each.start_up.elapsed_s
        tunes = tuple(
            tune.model_copy(update={"elapsed_s": wall_s - start, "seconds": wall_s - start - 5.6})
            for tune in each.fine_tunes[: each.launch == 0]
        )
        made.append(each.model_copy(update={"fine_tunes": tunes}))
    return made


def predicting(records: list[Record], correct: int) -> list[Record]:
    """The same launches, which classify the first images correctly."""
    right = encode_correct_images(np.arange(10_000) < correct)
    return [
        each.model_copy(
            update={
                "fine_tunes": tuple(
                    tune.model_copy(update={"correct": correct, "right": right}) for tune in each.fine_tunes
                )
            }
        )
        for each in records
    ]


def variant(records: list[Record], **knobs: str) -> list[Record]:
    return [each.model_copy(update={"variant": each.variant.model_copy(update=knobs)}) for each in records]


def make_variant(name: str, ratio: float, percent: float = 0.3) -> list[Record]:
    return variant(steps("pytorch", vary(ratio, percent), variant=name), layout="nhwc")


def on_cache(records: list[Record], hit: bool) -> list[Record]:
    features = CachedFeatures(hit=hit, images=60_000, extraction_s=40.0, problem=None)
    return [each.model_copy(update={"features": features}) for each in variant(records, features="cached")]


PYTORCH = waiting(steps("pytorch", vary(1, 0.3)), 63.2)
TENSORFLOW = waiting(steps("tensorflow", vary(0.86, 0.6)), 68.4)
KERAS = waiting(steps("keras", [0.865, 0.85, 0.862, 0.855]), 71.0)
THREE = [*PYTORCH, *TENSORFLOW, *KERAS]
DEAD = died(record("keras"), "import", "ImportError: libcudart.so.13", [])
NO_ACCURACY = {"task": RANDOM, "correct": None}

OUTCOMES = {
    "winner certain, the others do not differ": lambda: build_verdict(THREE),
    "winner certain, the others differ": lambda: build_verdict(
        [*PYTORCH, *TENSORFLOW, *waiting(steps("keras", vary(0.7, 0.3)), 80.0)]
    ),
    "two share the lead": lambda: build_verdict(
        [
            *waiting(steps("pytorch", vary(1, 0.3)), 80.0),
            *waiting(steps("tensorflow", [2.33, 2.36, 2.30, 2.34]), 31.5),
            *waiting(steps("keras", vary(2.35, 0.6)), 34.1),
        ]
    ),
    # p is 0.02 in two of six comparisons, and 0.1 after Holm's correction.
    "not certain": lambda: build_verdict(
        [
            *steps("pytorch", [1, 1, 1, 1]),
            *steps("tensorflow", vary(1, 5)),
            *steps("keras", [math.exp(y) for y in (0.02, 0.05, 0.03, 0.06)]),
        ]
    ),
    "winner certain, the others may differ": lambda: build_verdict(
        [*PYTORCH, *steps("tensorflow", vary(0.5, 6)), *steps("keras", vary(0.55, 6))]
    ),
    "a winner that the whole fine-tune contradicts": lambda: build_verdict([*PYTORCH, *waiting(TENSORFLOW, 50.1)]),
    "no difference found": lambda: build_verdict(
        [*PYTORCH, *waiting(steps("keras", [1.013, 0.985, 1.009, 1.002]), 64.0)]
    ),
    "no difference found, in much noise": lambda: build_verdict([*PYTORCH, *waiting(steps("keras", vary(1, 9)), 64.0)]),
    "intervals too wide to tell": lambda: build_verdict([*PYTORCH, *waiting(steps("keras", vary(1, 30)), 64.0)]),
    "accuracies differ, certainly": lambda: build_verdict([*PYTORCH, *predicting(TENSORFLOW, 6500), *KERAS]),
    "accuracies differ, perhaps": lambda: build_verdict([*PYTORCH, *predicting(TENSORFLOW, 7008), *KERAS]),
    "another winner without the input pipeline": lambda: build_verdict(
        [
            *PYTORCH,
            *(
                each.model_copy(
                    update={
                        "compute": each.compute.model_copy(
                            update={"seconds": tuple(s / 2 for s in each.compute.seconds)}
                        )
                    }
                )
                for each in TENSORFLOW
            ),
        ]
    ),
    "a case not comparable": lambda: build_verdict(
        [*PYTORCH, *steps("tensorflow", [2, 2, 2, 2], proof=BROKEN), *KERAS]
    ),
    "no two cases comparable": lambda: build_verdict([*PYTORCH, *steps("tensorflow", [2, 2, 2, 2], proof=BROKEN)]),
    "a case died": lambda: build_verdict([*PYTORCH, *TENSORFLOW, DEAD]),
    "a launch died": lambda: build_verdict(
        [*PYTORCH, *TENSORFLOW[:-1], died(TENSORFLOW[-1], "training", "killed by SIGKILL: by someone.", [])]
    ),
    "all cases died": lambda: build_verdict([DEAD, died(record("pytorch"), "build", "out of memory", [])]),
    "random weights": lambda: build_verdict(
        [
            each.model_copy(update={"fine_tunes": ()})
            for backend, ratio in (("pytorch", 1.0), ("keras", 0.5))
            for each in steps(backend, vary(ratio, 0.5), **NO_ACCURACY)
        ]
    ),
    "offline tasks": lambda: build_verdict(
        [
            *(
                each.model_copy(update={"fine_tunes": ()})
                for backend, ratio in (("pytorch", 1.0), ("keras", 0.5))
                for each in steps(backend, vary(ratio, 0.5), **NO_ACCURACY)
            ),
            *(
                each.model_copy(update={"position": 1, "task": Task(**TASK.model_dump() | {"name": "embedded"})})
                for each in [*PYTORCH, *KERAS]
            ),
        ],
        banner="Offline suite: no network.",
    ),
    "cached division, from the cache": lambda: build_verdict([*on_cache(PYTORCH, True), *on_cache(TENSORFLOW, True)]),
    "cached division, extracted": lambda: build_verdict([*on_cache(PYTORCH, False), *on_cache(TENSORFLOW, False)]),
    "tuned division beside the default": lambda: build_verdict(
        [
            *PYTORCH,
            *TENSORFLOW,
            *waiting(steps("pytorch", vary(1.4, 0.3), variant="tuned"), 45.0),
            *waiting(steps("tensorflow", vary(1.8, 0.3), variant="tuned"), 40.0),
        ]
    ),
    "several variants of a backend": lambda: build_verdict(
        [
            *variant(steps("pytorch", vary(1.2, 0.3), variant="bf16"), precision="bf16"),
            *variant(steps("pytorch", vary(1.4, 0.3), variant="nhwc"), layout="nhwc"),
        ]
    ),
    "many cases, one the fastest": lambda: build_verdict(
        [one for n, ratio in enumerate((1.0, 0.9, 0.85, 0.8, 0.7)) for one in make_variant(f"v{n}", ratio)]
    ),
    "many cases, two pairs of equals": lambda: build_verdict(
        [one for n, ratio in enumerate((1.0, 1.001, 0.8, 0.801)) for one in make_variant(f"v{n}", ratio, 0.4 + n)]
    ),
    "many cases, not certain": lambda: build_verdict(
        [one for n, ratio in enumerate((1.0, 0.98, 0.97, 0.96, 0.6)) for one in make_variant(f"v{n}", ratio, 3 + n)]
    ),
    "no common launch": lambda: build_verdict(
        [*PYTORCH[:2], *(each.model_copy(update={"launch": each.launch + 4}) for each in KERAS[:2])]
    ),
    "one backend alone": lambda: build_verdict(PYTORCH),
    "few launches": lambda: build_verdict([*PYTORCH[:2], *TENSORFLOW[:2], *KERAS[:2]]),
    "one launch of a case, several of the others": lambda: build_verdict([*PYTORCH, *TENSORFLOW, *KERAS[:2]]),
    "no records": lambda: build_verdict([]),
}


def test_every_outcome_has_its_golden_text():
    text = "".join(
        f"## {name}\n\n{', '.join(one.outcome for one in made.tasks)}\n\n{made.text}\n\n"
        for name, make in OUTCOMES.items()
        if (made := make())
    )
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def read_decision(text: str) -> str:
    """The decision that a cell of the throughput table says."""
    found = [word for word in ("not certain", "no difference", "not enough launches") if word in text]
    return {"not enough launches": "too few launches"}.get(found[0], found[0]) if found else "certain"


@pytest.mark.parametrize("seed", range(30))
def test_the_verdict_never_goes_beyond_the_throughput_table(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 7))
    noise = float(rng.choice([0.003, 0.02, 0.1]))
    records = [
        record(backend, launch, step_ms=5 * factor * math.exp(rng.normal(0, noise)))
        for backend, factor in zip(
            ("pytorch", "tensorflow", "keras"), (1, *rng.choice([0.9, 1, 1.04, 2], 2)), strict=True
        )
        for launch in range(count)
    ]
    table = build_tables(records)[0]
    (judged,) = build_verdict(records).tasks
    bold = [row[0].text for row in table.rows if row[1].bold]
    assert (judged.outcome == "winner") == bool(bold)
    if bold:
        assert judged.sentences[0].startswith(f"At batch 4 {get_title(bold[0].partition('/')[0])} trains ")
    task = group_by_task(records)[0]
    standings = find_standings(task, "pytorch")
    ratios = {row[0].text: row[2].text for row in table.rows[1:]}
    decisions = {case.label: standings.decide(task.cases[0], case) for case in task.cases[1:]}
    assert decisions == {label: read_decision(text) for label, text in ratios.items()}
    assert (judged.outcome == "too few launches") == all("not enough launches" in text for text in ratios.values())
    if judged.outcome == "no difference":
        assert all(text.startswith("no difference found") for text in ratios.values())
        worst = max(float(re.search(r"± ([\d.]+)", text)[1]) for text in ratios.values())
        assert float(re.search(r"more than ([\d.]+) %", judged.text)[1]) >= worst
