"""Feature extraction: obtain the cached features of a case, computed once by its own backend in its fastest form."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from backends.base import Trainer
from backends.extraction import ExtractionForm, Extractor
from backends.task import Task
from bench.cache import features
from bench.cache.features import Extracted, Features
from bench.worker.job import Job
from bench.worker.part_report import PartReport, Sender

#: The last features that could not be cached, by cache file: other combinations of a sweep take them from here.
_UNCACHED: dict[Path, Features] = {}


def obtain(trainer: Trainer, train: np.ndarray, test: np.ndarray, job: Job, sender: Sender) -> Features:
    """Get the features of all images from the cache, or compute and cache them. Progress is sent.

    Args:
        train, test: raw images, (n, h, w, 3).

    Raises:
        ValueError: the job names no cache file.
    """
    if job.features is None:
        raise ValueError("the job names no cache file")
    if job.features in _UNCACHED:
        return _UNCACHED[job.features]
    found = features.obtain(
        job.features,
        job.cache_limit,
        lambda: extract(trainer, train, test, job.backend, sender),
        _Waiting(sender),
    )
    if not job.features.is_file():
        _UNCACHED.clear()
        _UNCACHED[job.features] = found
    return found


def extract(trainer: Trainer, train: np.ndarray, test: np.ndarray, backend: str, sender: Sender) -> Extracted:
    """Compute the features of all images, in the form that is fastest for so many."""
    # Imported here because most workers extract nothing, and each module takes memory, which is measured.
    from bench.worker.extraction.fastest_form import make_fastest_form

    began = time.perf_counter()
    images = len(train) + len(test)
    form, extractor = make_fastest_form(trainer, train, images, backend, sender)
    sender.send("phase", name="extraction")
    report = PartReport(sender, images)
    computed_train = extract_in_batches(extractor, form, train, trainer.task, report)
    computed_test = extract_in_batches(extractor, form, test, trainer.task, lambda done: report(len(train) + done))
    return Extracted(computed_train, computed_test, time.perf_counter() - began, form.name)


def extract_in_batches(
    extractor: Extractor,
    form: ExtractionForm,
    images: np.ndarray,
    task: Task,
    report: Callable[[int], object] = lambda done: None,
) -> np.ndarray:
    """Compute the features (n, d) float32 of all images, batch by batch.

    The last batch is filled up with the first images: another shape would be compiled anew, or be slow.
    """
    extracted = np.empty((len(images), task.network.features), np.float32)
    for start in range(0, len(images), form.batch_size):
        batch = images[start : start + form.batch_size]
        count = len(batch)
        if count < form.batch_size:
            batch = images[np.arange(start, start + form.batch_size) % len(images)]
        extracted[start : start + count] = extractor(batch)[:count]
        report(start + count)
    return extracted


class _Waiting:
    """Reports, while another process extracts the same features, for how long."""

    def __init__(self, sender: Sender) -> None:
        self.sender, self.began = sender, time.monotonic()
        self.report: PartReport | None = None

    def __call__(self) -> None:
        """Report it."""
        if self.report is None:
            self.sender.send("phase", name="waiting for another process that extracts the same features")
            self.report = PartReport(self.sender, None, "s")
        self.report(round(time.monotonic() - self.began))


def describe_features(found: Features | None) -> dict[str, object] | None:
    """Describe cached features for a message: all fields but the arrays, and the number of images."""
    if found is None:
        return None
    content = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    images = len(content.pop("train")) + len(content.pop("test"))
    return {**content, "images": images}
