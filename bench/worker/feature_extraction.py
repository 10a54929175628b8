"""Feature extraction: obtain the cached features of a case, computed once by its own backend in its fastest form."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np

from backends.base import Trainer
from bench.cache import features
from bench.cache.features import Features
from bench.worker.job import Job

#: The last features that could not be cached, by cache file: other combinations of a sweep take them from here.
_UNCACHED: dict[Path, Features] = {}


def obtain(trainer: Trainer, train: np.ndarray, test: np.ndarray, job: Job) -> Features:
    """Get the features of all images from the cache, or compute and cache them.

    Args:
        train, test: raw images, (n, h, w, 3).

    Raises:
        ValueError: the job names no cache file.
    """
    if job.features is None:
        raise ValueError("the job names no cache file")
    if job.features in _UNCACHED:
        return _UNCACHED[job.features]

    def extract() -> tuple[np.ndarray, np.ndarray, float]:
        began = time.perf_counter()
        found = trainer.extract(train, test)
        return found[0], found[1], time.perf_counter() - began

    found = features.obtain(job.features, job.cache_limit, extract)
    if not job.features.is_file():
        _UNCACHED.clear()
        _UNCACHED[job.features] = found
    return found


def describe_features(found: Features | None) -> dict[str, object] | None:
    """Describe cached features for a message: all fields but the arrays, and the number of images."""
    if found is None:
        return None
    content = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    images = len(content.pop("train")) + len(content.pop("test"))
    return {**content, "images": images}
