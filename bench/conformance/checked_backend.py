"""The checked backend, with what its checks share: the trainer of the first task, inputs, and the recorded calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from backends.base import Backend, Trainer
from backends.task import Task, Variant
from backends.values import UnsupportedVariant
from bench.conformance.forbidden_calls import ForbiddenCalls
from bench.conformance.items import LeftOut, NotChecked
from bench.conformance.small_tasks import PROOF_IMAGES, PROOF_STEPS, TASKS, VARIANT, Inputs, make_inputs
from bench.worker.evidence import Arrays, gather_evidence
from bench.worker.job import Job


class CheckedBackend:
    """A backend in its process.

    Attributes:
        name: in the registry.
        calls: the recorded forbidden calls.
        backend: set once it is imported.
        trainer: set once it is built.
    """

    def __init__(self, name: str, images: np.ndarray, labels: np.ndarray, calls: ForbiddenCalls) -> None:
        self.name, self.calls = name, calls
        self._images, self._labels = images, labels
        self._backend: Backend | None = None
        self._trainer: Trainer | None = None
        self.task = TASKS["frozen"]
        self.inputs = self.make_inputs(self.task)

    @property
    def backend(self) -> Backend:
        """The backend.

        Raises:
            NotChecked: it cannot be imported.
        """
        if self._backend is None:
            raise NotChecked("the backend is not imported")
        return self._backend

    @backend.setter
    def backend(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def trainer(self) -> Trainer:
        """The trainer of the task `frozen`.

        Raises:
            NotChecked: it cannot be built.
        """
        if self._trainer is None:
            raise NotChecked("no trainer was built")
        return self._trainer

    @trainer.setter
    def trainer(self, trainer: Trainer) -> None:
        self._trainer = trainer

    @cached_property
    def evidence(self) -> Arrays:
        """The evidence of the task `frozen`."""
        return gather(self.trainer, self.inputs)

    def make_inputs(self, task: Task) -> Inputs:
        """Draw the inputs of a task, in arrays of their own."""
        return make_inputs(task, self._images, self._labels)

    def build(self, task: Task, variant: Variant = VARIANT) -> Trainer:
        """Build a trainer of a task."""
        inputs = self.make_inputs(task)
        return self.backend.build(task, variant, inputs.checkpoint, inputs.head)

    def find_altered_inputs(self) -> str | None:
        """Say which of the harness' arrays the backend has altered."""
        fresh = self.make_inputs(self.task)
        for name in ("images", "labels"):
            if not np.array_equal(getattr(self.inputs, name), getattr(fresh, name)):
                return f"the {name} were altered"
        for name, tensor in fresh.checkpoint.items():
            if not np.array_equal(self.inputs.checkpoint[name], tensor):
                return f"the checkpoint's {name} was altered"
        if not all(map(np.array_equal, self.inputs.head, fresh.head)):
            return "the initial head was altered"
        return (
            None
            if np.array_equal(self.inputs.order.permutations, fresh.order.permutations)
            else "the order was altered"
        )


def gather(trainer: Trainer, inputs: Inputs, cached: bool = False) -> Arrays:
    """Gather the evidence for the proof of sameness, as a worker does.

    Args:
        trainer: it is reset first.
        inputs: of its task.
        cached: whether the head trains on features that are computed before.
    """
    trainer.reset()
    sizes: dict[str, Any] = {"proof_images": PROOF_IMAGES, "proof_steps": PROOF_STEPS}
    features = trainer.features(inputs.images) if cached else None
    found = gather_evidence(
        trainer,
        (inputs.images, inputs.labels),
        inputs.order,
        inputs.checkpoint,
        Job.model_construct(**sizes),
        None if features is None else lambda order: trainer.start_on_features(features, inputs.labels, order),
    )
    if features is not None:
        found["cached_features"] = features[:PROOF_IMAGES]
    trainer.reset()
    return found


@contextlib.contextmanager
def left_out_if_refused() -> Iterator[None]:
    """Leave an item out if the backend refuses its task or its variant.

    Raises:
        LeftOut: with the backend's own line.
    """
    try:
        yield
    except UnsupportedVariant as error:
        raise LeftOut(f"the backend refuses it: {error}") from error
