"""The fastest form of extraction on this machine: by a former trial under the same conditions, or by a new one."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np

from backends.base import Trainer
from backends.extraction import ExtractionForm, Extractor
from backends.task import DATASETS
from bench.cache import extraction_trials
from bench.cache.extraction_trials import FormTime
from bench.machine.environment import describe_cpu
from bench.machine.load import Counters, read_counters
from bench.parity.checks import compute_difference
from bench.parity.tolerances import FORWARD, get_forward_tolerance
from bench.records.process_flags import ALLOCATOR, CPUS
from bench.worker import process_settings
from bench.worker.extraction.form_trial import FormTrial, choose_from
from bench.worker.part_report import Sender

#: How often the process may end while it makes a form, until the form is left out.
MOST_UNFINISHED = 2
#: The largest share of the CPU that other programs may use during a trial that is kept; as for `busy-machine`.
MOST_OTHER_CPU = 0.05
#: The parts of `describe_cpu` that the times of forms depend on.
CPU_FACTS = ("model", "flags", "cores_usable", "quota")


def make_fastest_form(
    trainer: Trainer, images: np.ndarray, count: int, backend: str, sender: Sender
) -> tuple[ExtractionForm, Extractor]:
    """Make the form in which the features of `count` images are computed fastest, its making included.

    A former trial under the same conditions says which one it is; if there is none, a trial on some of `images` does.
    What it found is kept, unless other programs disturbed it.
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

    trial = FormTrial(
        make, partial(_agree, get_forward_tolerance(trainer.variant.precision, trainer.task.backbone, FORWARD))
    )
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
    before = read_counters()
    chosen = trial.run(forms, images, count)
    if _is_disturbed(before, read_counters()):
        trial.found.clear()
    if {**noted, **trial.found} != extraction_trials.read(key):
        extraction_trials.write(key, {**noted, **trial.found})
    return chosen


def _is_disturbed(before: Counters, after: Counters) -> bool:
    """Whether other programs used so much of the CPU meanwhile that times say little."""
    total, busy, ours = (getattr(after, name) - getattr(before, name) for name in ("total", "busy", "ours"))
    return total > 0 and (busy - ours) / total > MOST_OTHER_CPU


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


def _agree(tolerance: float, first: np.ndarray, other: np.ndarray) -> bool:
    """Whether the features of two forms agree as the proof of sameness wants it of cached features."""
    return compute_difference(other, first) <= tolerance
