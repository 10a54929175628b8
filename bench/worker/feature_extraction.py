"""Feature extraction: obtain the cached features of a case, computed once by its own backend in its fastest form."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from backends.base import Trainer
from backends.extraction import ExtractionForm, Extractor
from backends.task import DATASETS, Task
from bench.cache import extraction_trials, features
from bench.cache.extraction_trials import FormTime
from bench.cache.features import Extracted, Features
from bench.machine.environment import describe_cpu
from bench.parity.checks import compute_difference
from bench.parity.tolerances import FORWARD, REDUCED_PRECISION
from bench.records.process_flags import ALLOCATOR, CPUS
from bench.worker import process_settings
from bench.worker.form_trial import FormTrial, choose_from
from bench.worker.job import Job
from bench.worker.part_report import PartReport, Sender

#: The last features that could not be cached, by cache file: other combinations of a sweep take them from here.
_UNCACHED: dict[Path, Features] = {}
#: How often the process may end while it makes a form, until the form is left out.
MOST_UNFINISHED = 2
#: The parts of `describe_cpu` that the times of forms depend on.
CPU_FACTS = ("model", "flags", "cores_usable", "quota")


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
    """Compute the features of all images, in the form that is fastest for so many, see `make_fastest_form`."""
    began = time.perf_counter()
    images = len(train) + len(test)
    form, extractor = make_fastest_form(trainer, train, images, backend, sender)
    sender.send("phase", name="extraction")
    report = PartReport(sender, images)
    computed_train = extract_in_batches(extractor, form, train, trainer.task, report)
    computed_test = extract_in_batches(extractor, form, test, trainer.task, lambda done: report(len(train) + done))
    return Extracted(computed_train, computed_test, time.perf_counter() - began, form.name)


def make_fastest_form(
    trainer: Trainer, images: np.ndarray, count: int, backend: str, sender: Sender
) -> tuple[ExtractionForm, Extractor]:
    """Make the form in which the features of `count` images are computed fastest, its making included.

    A former trial under the same conditions says which one it is; if there is none, a trial on some of `images` does.
    """
    forms = trainer.list_extraction_forms()
    key = extraction_trials.make_key(_list_conditions(trainer, backend))
    noted = extraction_trials.read(key)
    # A form in whose making the process has ended once is tried again: that may have been a signal.
    former = {name: times for name, times in noted.items() if not 0 < times.unfinished < MOST_UNFINISHED}

    def make(form: ExtractionForm) -> Extractor:
        sender.send("phase", name=f"extraction, making {form.name}", compiles=True)
        if form is not forms[0]:
            unfinished = noted[form.name].unfinished if form.name in noted else 0
            begun = FormTime(making_s=0.0, image_s=None, unfinished=unfinished + 1)
            extraction_trials.write(key, {**noted, **trial.found, form.name: begun})
        return trainer.make_extractor(form)

    trial = FormTrial(make, partial(_agree, trainer.variant.precision))
    trial.found.update((name, times) for name, times in former.items() if times.unfinished)
    if known := choose_from(former, forms, count):
        try:
            extractor = make(known)
            extractor(images[np.arange(known.batch_size) % len(images)])  # the first call compiles
        except Exception:  # what could be made then cannot be made now: there is another form
            noted = {}
        else:
            extraction_trials.write(key, noted)
            return known, extractor
    chosen = trial.run(forms, images, count)
    if forms[0].name in trial.found:
        extraction_trials.write(key, {**noted, **trial.found})
    return chosen


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


def _list_conditions(trainer: Trainer, backend: str) -> dict[str, object]:
    """All that the times of the forms depend on: machine, software, settings of the process, and the network's shape.

    The settings are those in effect, with all knobs that act on the whole process.
    """
    task, resolved, cpu, process = trainer.task, trainer.resolved, describe_cpu(), process_settings.read_flags()
    settings = dataclasses.asdict(resolved) | {"versions": dict(resolved.versions), "flags": dict(resolved.flags)}
    return {
        "backend": backend,
        "backbone": task.backbone,
        "sizes": [*DATASETS[task.dataset][:1], task.image_size],
        "settings": settings,
        "process": {name: process.get(name) for name in (ALLOCATOR, CPUS)},
        "cpu": {name: cpu[name] for name in CPU_FACTS},
        "forms": [form.name for form in trainer.list_extraction_forms()],
    }


def _agree(precision: str, first: np.ndarray, other: np.ndarray) -> bool:
    """Whether the features of two forms agree as the proof of sameness wants it of cached features."""
    return compute_difference(other, first) <= REDUCED_PRECISION.get(precision, FORWARD)


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
