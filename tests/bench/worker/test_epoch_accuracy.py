"""The accuracy after each epoch: which fine-tunes have it, that it is right, and that it changes no other figure."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backends.task import Task, Variant
from bench.data.order import draw_head, draw_order
from bench.plan.task_table import TASKS
from bench.records import store
from bench.records.correct_images import decode_correct_images
from bench.worker import measure
from bench.worker.epoch_accuracy import MOST_IMAGES, PHASE, can_score_epochs, count_scored_images
from tests.bench.arithmetic import ArithmeticTrainer
from tests.bench.processes import Bench

TASK = TASKS["embedded"].model_copy(update={"epochs": 3, "learning_rate": 0.05})
#: The task's own weights, so that it has an accuracy, but little work; no image or weight is downloaded.
SUITE = """
description = "Three short epochs"
launches = 1
rounds = 2
round_seconds = 0.02
proof_images = 4
proof_steps = 3

[[entries]]
task = "embedded"
override = { train_limit = 64, epochs = 3 }
"""


class Session:
    """The part of a worker's session that a fine-tune needs. `said` lists what it sends and computes."""

    evaluation_batch_size = 32
    features = None

    def __init__(self, task: Task, seeds: tuple[int, ...], folder: Any, test_images: int) -> None:
        random = np.random.default_rng(0)
        self.task, self.job, self.said = task, SimpleNamespace(seeds=seeds, folder=folder), []
        #: Class k has a bright column k.
        self.train = self._draw(random, 100)
        self.test = self._draw(random, test_images)
        checkpoint = {"last": random.standard_normal((task.network.features, 192, 1, 1)).astype(np.float32) / 16}
        head = draw_head(task.network.features, task.classes, 0)
        self.trainer = ArithmeticTrainer("pytorch", "", task, Variant(name="default"), checkpoint, head)
        self.features_of, self.trainer.features = self.trainer.features, self._compute_features
        self.baton = SimpleNamespace(
            give_back=lambda event, **content: None, take=dict, send=lambda event, **content: self._note(event, content)
        )
        self.phases = SimpleNamespace(end=lambda name: self.said.append(("peak", name)))

    @staticmethod
    def _draw(random: np.random.Generator, images: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(images) % 8
        pixels = random.integers(0, 60, (images, 8, 8, 3)).astype(np.uint8)
        pixels[np.arange(images), :, labels] += 60
        return pixels, labels

    def _compute_features(self, images: np.ndarray) -> np.ndarray:
        self.said.append(("features", len(images)))
        return self.features_of(images)

    def _note(self, event: str, content: dict[str, Any]) -> None:
        self.said.append((event, content))

    def draw(self, seed: int) -> tuple[Any, Any]:
        order = draw_order(len(self.train[0]), self.task.epochs, self.task.batch_size, False, seed)
        return order, draw_head(self.task.network.features, self.task.classes, seed)

    def start_training(self, order: Any) -> Any:
        batches = order.batches()

        def advance(steps: int) -> float:
            chosen = [next(batches) for _ in range(steps)]
            gradients = ((self.features_of(self.train[0][b]), self.train[1][b]) for b in chosen)
            losses = [self.trainer.update(*self.trainer.of_features(*one)) for one in gradients]
            return float(np.mean(losses))

        return SimpleNamespace(advance=advance, close=lambda: None)

    def logits(self, at: int, size: int) -> np.ndarray:
        return self.features_of(self.test[0][at : at + size]) @ self.trainer.kernel + self.trainer.bias

    def find_alterations(self) -> dict[str, np.ndarray]:
        return {}

    def report_memory(self) -> None:
        self.said.append(("memory", None))

    def list_messages(self, event: str) -> list[dict[str, Any]]:
        return [content for name, content in self.said if name == event]


def fine_tune(tmp_path, task: Task = TASK, seeds: tuple[int, ...] = (0,), test_images: int = 70) -> Session:
    session = Session(task, seeds, tmp_path, test_images)
    measure.test_fine_tune("case", session)
    return session


def test_the_accuracy_after_each_epoch_is_that_of_a_fine_tune_of_so_many_epochs(tmp_path):
    session = fine_tune(tmp_path)
    (scored,) = session.list_messages("epochs scored")
    shorter = [
        fine_tune(tmp_path, TASK.model_copy(update={"epochs": epochs})).list_messages("fine-tuned")[0]["correct"]
        for epochs in (1, 2, 3)
    ]
    assert scored["correct"] == shorter
    assert scored["images"] == 70
    assert len(set(shorter)) > 1, "the epochs differ, or nothing is compared"


def test_nothing_of_it_runs_before_the_last_clock_and_the_last_peak_of_memory_are_read(tmp_path):
    session = fine_tune(tmp_path, seeds=(0, 5))
    events = [name for name, _ in session.said]
    first = events.index("features")
    assert [i for i, name in enumerate(events) if name in ("fine-tuned", "peak", "memory") and i > first] == []
    assert events.count("fine-tuned") == 2
    assert session.said[first - 1] == ("phase", {"name": PHASE})
    # The features of an image are computed once for all seeds and epochs.
    assert [size for name, size in session.said if name == "features"] == [32, 32, 6]
    assert [one["kind"] for one in session.list_messages("epochs scored")] == ["0", "5"]


def test_the_seconds_of_the_last_epoch_are_those_of_the_fine_tune(tmp_path):
    (tuned,) = fine_tune(tmp_path).list_messages("fine-tuned")
    seconds = tuned["epoch_seconds"]
    assert len(seconds) == 3
    assert 0 < seconds[0] < seconds[1] < seconds[2] == tuned["seconds"]


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 1},
        {"weights": "random"},
        {"batch_norm": "batch_stats"},
        {"trainable": "last-stage"},
        {"trainable": "all"},
    ],
)
def test_there_is_none_where_the_head_alone_does_not_decide_it(tmp_path, change):
    assert can_score_epochs(TASK)
    task = TASK.model_copy(update=change)
    assert not can_score_epochs(task)
    if "trainable" not in change:  # the arithmetic trainer has no backbone to train
        assert "features" not in [name for name, _ in fine_tune(tmp_path, task).said]


def test_a_large_test_set_gives_its_first_whole_batches():
    assert count_scored_images(360, 32) == 360
    assert count_scored_images(MOST_IMAGES, 32) == MOST_IMAGES
    assert count_scored_images(10_000, 32) == 1984


def run_and_check(folder, *backends: str, **environment: str) -> None:
    (folder / "small.toml").write_text(SUITE)
    results = folder / "results"
    chosen = [part for backend in backends for part in ("--backend", backend)]
    command = ("run", "--suite", folder / "small.toml", "--results", results, *chosen)
    with Bench(*command, cwd=folder, HEADTOHEAD_HOME=str(folder / "home"), **environment) as bench:
        assert bench.end(500) == 0, bench.stdout + bench.stderr
        assert bench.events.count(PHASE) >= len(backends)
    records, problems = store.read_records(next(results.iterdir()))
    assert problems == []
    assert sorted(record.backend for record in records) == sorted(backends)
    for record in records:
        (tune,) = record.fine_tunes
        assert len(tune.epoch_correct) == len(tune.epoch_seconds) == 3
        assert tune.epoch_seconds[-1] == tune.seconds
        evaluated = decode_correct_images(tune.right, tune.test_images)[: tune.epoch_test_images].sum()
        assert tune.epoch_correct[-1] == evaluated, record.case


def test_a_run_records_it(tmp_path):
    run_and_check(tmp_path, "pytorch")


@pytest.mark.slow
@pytest.mark.thorough
def test_the_last_epoch_agrees_with_the_evaluation_in_each_framework(tmp_path):
    run_and_check(tmp_path, "pytorch", "tensorflow", "keras", REAL="yes", SHORT_WARMUP="yes")
