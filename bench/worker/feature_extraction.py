"""Cached features: computed once by the case's own backend, in its quickest form."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np

from backends.base import Trainer
from bench.cache import features
from bench.cache.features import Features
from bench.worker.job import Job

#: The features that could not be kept last: combinations of a sweep that share them have them from here.
_UNKEPT: dict[Path, Features] = {}


def obtain(trainer: Trainer, train: np.ndarray, test: np.ndarray, job: Job) -> Features:
    """The features of all training and test images, raw (n, h, w, 3), from the cache or computed for it.

    Raises:
        ValueError: the job names no entry.
    """
    if job.features is None:
        raise ValueError("no entry of the cache was named")
    if job.features in _UNKEPT:
        return _UNKEPT[job.features]

    def extract() -> tuple[np.ndarray, np.ndarray, float]:
        began = time.perf_counter()
        found = trainer.extract(train, test)
        return found[0], found[1], time.perf_counter() - began

    found = features.obtain(job.features, job.cache_limit, extract)
    if not job.features.is_file():
        _UNKEPT.clear()
        _UNKEPT[job.features] = found
    return found


def told(found: Features | None) -> dict[str, object] | None:
    """As a message carries it."""
    if found is None:
        return None
    content = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    images = len(content.pop("train")) + len(content.pop("test"))
    return {**content, "images": images}
