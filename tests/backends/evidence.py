"""What one backend computes, left in files: `python -m tests.backends.evidence BACKEND FOLDER [--reference]`.

Frameworks share no process, and starting one is the dear part, so one process does everything that the tests want
to know of its backend: the evidence of every task, the contract's facts, and the evidence under planted faults. With
`--reference` it leaves only what other backends are compared with.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import multiprocessing
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import get_args
from unittest.mock import patch

import numpy as np

import backends
from backends.backbones import BACKBONES
from backends.base import Backend, Trainer, Training
from backends.convolutions import list_convolutions
from backends.kernels import Addition, ConvolutionPass, Convolutions, Gemm, SmallOperations
from backends.knobs import KNOBS
from backends.task import Task, Variant
from backends.values import Order, UnsupportedVariant
from bench.machine import hidden_packages
from bench.parity.checks import compute_difference
from bench.worker.evidence import Arrays, gather_evidence
from bench.worker.extraction.feature_extraction import extract_in_batches
from bench.worker.job import Job
from tests.backends.faults import FAULTS
from tests.backends.tasks import (
    EXTRACTED,
    FORWARD,
    TASKS,
    VARIANTS,
    checkpoint_of,
    head_of,
    images_of,
    learn_graph,
    order_of,
)

IMAGES = 8
STEPS = 12
#: Seconds of making from which a form of extraction is left out here: TorchInductor's.
LONG_MAKING = 10.0
VARIANT = Variant(threads=1)
#: The modules by which a framework is known to be loaded.
FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "flax", "pytorch_lightning")


def main(name: str, folder: Path, reference_only: bool) -> None:
    hidden = [package for package in hidden_packages.HIDDEN_PACKAGES if package != "sklearn"]  # it has the images
    with patch.object(hidden_packages, "HIDDEN_PACKAGES", hidden):
        hidden_packages.hide_packages(backends.REGISTRY[name].hides, backends.REGISTRY[name].packages)
    backend = backends.load(name)
    for task in TASKS.values():
        trainer = backend.build(task, VARIANT, checkpoint_of(task), head_of(task))
        np.savez(folder / f"{task.name}.npz", **evidence(trainer, task, STEPS))
        if task.name == "frozen" and not reference_only:
            (folder / "facts.json").write_text(json.dumps(facts(backend, trainer, task)))
    for task in FORWARD.values():
        trainer = backend.build(task, VARIANT, checkpoint_of(task), head_of(task))
        images = images_of(task)[0][:IMAGES]
        np.savez(folder / f"{task.name}.npz", features=trainer.features(images), logits=trainer.logits(images))
    if not reference_only:
        gather_others(name, backend, folder)
    frameworks = [m for m in FRAMEWORKS if sys.modules.get(m)]
    (folder / "frameworks.json").write_text(json.dumps(frameworks))


def gather_others(name: str, backend: Backend, folder: Path) -> None:
    """The evidence of variants and under faults, and what is said of settings and kernels."""
    for title, (task_name, having, variant) in VARIANTS.items():
        if name in having:
            task = TASKS[task_name]
            if variant.graph == "exported":
                learn_graph(task)
            trainer = backend.build(task, variant, checkpoint_of(task), head_of(task))
            begin = partial(on_features, trainer, task) if variant.features == "cached" else None
            np.savez(folder / f"{title}.npz", **evidence(trainer, task, STEPS, begin))
            if title in EXTRACTED.get(name, ()):
                (folder / f"{title} forms.json").write_text(json.dumps(form_facts(trainer, task)))
            if variant.steps_per_execution:
                (folder / "steps.json").write_text(json.dumps(steps_facts(trainer, task)))
            if begin:
                (folder / "head.json").write_text(json.dumps(head_facts(trainer, task)))
            (folder / f"{title}.json").write_text(json.dumps(dataclasses.asdict(trainer.resolved)))
    for title, fault in FAULTS.items():
        if fault.backend == name:
            task, variant = TASKS[fault.task], VARIANTS[fault.variant][2] if fault.variant else VARIANT
            with fault.plant():
                trainer = backend.build(task, variant, checkpoint_of(task), head_of(task))
                np.savez(folder / f"{title}.npz", **evidence(trainer, task, STEPS))
    if name in FOREIGN_SETTINGS:
        with FOREIGN_SETTINGS[name]() as variant:
            trainer = backend.build(TASKS["frozen"], variant, checkpoint_of(TASKS["frozen"]), head_of(TASKS["frozen"]))
            (folder / "foreign settings.json").write_text(json.dumps(dataclasses.asdict(trainer.resolved)))
    (folder / "kernels.json").write_text(json.dumps(kernel_facts(backend)))


@contextlib.contextmanager
def _set_torch() -> Iterator[Variant]:
    import torch

    with patch.dict(os.environ, TORCHDYNAMO_DISABLE="1"), torch.backends.mkldnn.flags(enabled=False):
        yield VARIANT.model_copy(update={"execution": "compiled"})


@contextlib.contextmanager
def _set_torch_below_keras() -> Iterator[Variant]:
    import torch

    with torch.backends.mkldnn.flags(enabled=False):
        yield VARIANT


@contextlib.contextmanager
def _set_tensorflow() -> Iterator[Variant]:
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    with patch.dict(os.environ, TF_ENABLE_ONEDNN_OPTS="0", TF_CUDNN_USE_AUTOTUNE="0"):
        yield VARIANT
    tf.config.run_functions_eagerly(False)


@contextlib.contextmanager
def _set_jax() -> Iterator[Variant]:
    import jax

    with jax.disable_jit():
        yield VARIANT


#: Settings of a framework that decide in place of the knobs of a variant; each yields this variant.
FOREIGN_SETTINGS = {
    "pytorch": _set_torch,
    "tensorflow": _set_tensorflow,
    "keras": _set_tensorflow,
    "jax": _set_jax,
    "lightning": _set_torch,
    "keras-torch": _set_torch_below_keras,
}


def on_features(trainer: Trainer, task: Task, order: Order) -> Training:
    """The head's training on features of all images."""
    images, labels = images_of(task)
    first = trainer.list_extraction_forms()[0]
    features = extract_in_batches(trainer.make_extractor(first), first, images, task)
    return trainer.start_on_features(features, labels, order)


def form_facts(trainer: Trainer, task: Task) -> dict[str, object]:
    """How the other forms of extraction differ from the features of a training step; without those that a compiler
    takes long for. JSON-ready.
    """
    images = images_of(task, 70)[0]
    reference = trainer.features(images)
    found: dict[str, object] = {}
    for form in trainer.list_extraction_forms()[1:]:
        if form.making_s < LONG_MAKING:
            features = extract_in_batches(trainer.make_extractor(form), form, images, task)
            kept = {name: getattr(form.variant, name) for name in ("precision", "threads", "device")}
            found[form.name] = {"difference": compute_difference(features, reference), **kept}
    return found


def evidence(trainer: Trainer, task: Task, steps: int, begin: Callable[[Order], Training] | None = None) -> Arrays:
    """As a worker gathers it."""
    job = Job.model_construct(proof_images=IMAGES, proof_steps=steps)
    return gather_evidence(trainer, images_of(task), order_of(task), checkpoint_of(task), job, begin)


def head_facts(trainer: Trainer, task: Task) -> dict[str, object]:
    """How the head's training on features behaves; JSON-ready."""
    images = images_of(task)[0]
    found: dict[str, object] = {}
    computed = trainer.features(images)
    found["logits"] = bool(np.allclose(trainer.head_logits(computed[:8]), trainer.logits(images[:8]), atol=1e-5))
    found |= _partial_batches(trainer, task, partial(trainer.start_on_features, computed))
    return found


def kernel_facts(backend: Backend) -> dict[str, object]:
    """How many operations of a kind each kernel runs at once, as the framework's own profiler counts them."""
    layers = [
        layer
        for name, size in (("resnet18", 32), ("efficientnet_lite0", 64))
        for layer in list_convolutions(BACKBONES[name], size)
        if layer.stride > 1 or layer.name in ("layer4.1.conv2", "conv_head")
    ]
    found: dict[str, object] = {"layers": len(layers), "depthwise": sum(layer.groups > 1 for layer in layers)}
    kernels = {
        "gemm fp32": Gemm(64, "fp32"),
        "gemm bf16": Gemm(64, "bf16"),
        "addition": Addition(4096),
        "small": SmallOperations(20),
        **{what: Convolutions(tuple((layer, what) for layer in layers), 2) for what in get_args(ConvolutionPass)},
    }
    for name, kernel in kernels.items():
        run = backend.kernel(kernel, VARIANT)
        run(2)
        with tempfile.TemporaryDirectory() as scratch:
            events = backend.profile(lambda run=run: run(3), scratch)
        found[name] = Counter(event.name for event in events)
    run = backend.kernel(Convolutions(((layers[0], "forward"),), 2), VARIANT.model_copy(update={"precision": "bf16"}))
    run(1)
    return found


def steps_facts(trainer: Trainer, task: Task) -> dict[str, object]:
    """How training behaves whose calls make several steps: 24 of them, requested in different numbers; JSON-ready."""
    images, labels = images_of(task)
    order = order_of(task)
    calls: list[int] = []

    def counted(function: Callable, count: Callable[[object], int]) -> Callable:
        return lambda batches: (calls.append(count(batches)), function(batches))[1]

    trainer.reset()
    losses = [trainer.step(images[batch], labels[batch]) for batch in order.batches()]
    head = trainer.head()
    trainer.reset()
    if trainer.resolved.framework == "tensorflow":
        trainer.resident_steps = counted(trainer.resident_steps, len)
    elif hasattr(trainer, "taking_steps"):
        real = trainer.taking_steps.compiled
        trainer.taking_steps.compiled = lambda *given: (calls.append(len(given[-1])), real(*given))[1]
    else:
        trainer.steps = {n: counted(function, lambda batches, n=n: n) for n, function in trainer.steps.items()}
    training = trainer.start(images, labels, order)
    found: dict[str, object] = {"losses": losses, "means": []}
    for steps in (1, 17, 6):
        found["means"].append(training.advance(steps))
        at_rest = trainer.head()
        threading.Event().wait(0.2)
        found[f"rests after {steps}"] = _equal(trainer.head(), at_rest)
    found["the head is the same"] = bool(np.allclose(trainer.head().kernel, head.kernel, atol=1e-6))
    found["one step more"] = _raised(training.advance, 1)
    training.close()
    found["calls"] = calls
    found["left over"] = [thread.name for thread in threading.enumerate() if thread.name == "fit"]
    return found


def facts(backend: Backend, trainer: Trainer, task: Task) -> dict[str, object]:
    """How the trainer behaves where `backends.base` says how it must; JSON-ready."""
    images, labels = images_of(task)
    found: dict[str, object] = {"backend": backend.name}

    trainer.reset()
    start = trainer.parameters(), trainer.head()
    first = [trainer.step(images[:4], labels[:4]) for _ in range(3)]
    moved = not np.array_equal(trainer.head().kernel, start[1].kernel)
    trainer.reset()
    found["a step moves the head"] = moved
    found["reset restores the head"] = _equal(trainer.head(), head_of(task))
    found["reset restores the backbone"] = _equal(trainer.parameters().values(), start[0].values())
    found["reset forgets the momentum"] = [trainer.step(images[:4], labels[:4]) for _ in range(3)] == first
    trainer.reset()
    trainer.loss_and_gradient(images[:4], labels[:4])
    found["a gradient changes nothing"] = _equal(trainer.head(), head_of(task))

    found |= _partial_batches(trainer, task, partial(trainer.start, images))

    trainer.reset()
    order = order_of(task)
    training = trainer.start(images, labels, order)
    training.advance(5)
    at_rest = trainer.head()
    threading.Event().wait(0.3)
    found["rests between calls"] = _equal(trainer.head(), at_rest)
    training.advance(order.steps - 7)
    found["more steps than are left"] = _raised(training.advance, 3)
    training.close()
    found["after close"] = _raised(training.advance, 1)

    for when, steps in (("at once", 0), ("midway", 2)):
        training = trainer.start(images, labels, order)
        if steps:
            training.advance(steps)
        training.close()
        training.close()
        left = [thread.name for thread in threading.enumerate() if thread.name == "fit"]
        found[f"closed {when}: left over"] = left + [p.name for p in multiprocessing.active_children()]

    trainer.reset()
    training = trainer.start(images, labels, order)
    loss = training.advance(3)
    training.close()
    through_pipeline = trainer.head()
    trainer.reset()
    few = Order(order.permutations[:, :12], 4, False)
    training = trainer.start_on_device(images, labels, few)
    found["on the device: the same loss"] = bool(np.isclose(training.advance(3), loss, rtol=1e-5))
    found["on the device: the same head"] = bool(np.allclose(trainer.head().kernel, through_pipeline.kernel, atol=1e-6))
    training.advance(4)  # `compute` rounds go round the same few batches
    training.close()

    trainer.reset()
    training = trainer.start(images, np.full_like(labels, 77), order)
    found["a label that is not a class"] = _raised(training.advance, 1)
    training.close()

    execution = next(one for one in ("xla", "torchscript") if one not in KNOBS["execution"].values[backend.name])
    for knob, value in (("precision", "fp16"), ("execution", execution)):
        variant = VARIANT.model_copy(update={knob: value})
        try:
            backend.build(task, variant, checkpoint_of(task), head_of(task))
            found[f"unsupported {knob}"] = "was built"
        except UnsupportedVariant as error:
            found[f"unsupported {knob}"] = str(error)
    found["threads"] = trainer.resolved.intra_op_threads
    found["device memory"] = trainer.device_memory()
    return found


def _partial_batches(trainer: Trainer, task: Task, start: Callable[[np.ndarray, Order], Training]) -> dict[str, object]:
    """Ten images in batches of four, twice: trained step by step, and as `start` has it from labels and order."""
    images, labels = images_of(task)
    found: dict[str, object] = {}
    for last in ("kept", "dropped"):
        order = Order(order_of(task, images=10, epochs=2).permutations, 4, last == "dropped")
        trainer.reset()
        singly = [(trainer.step(images[b], labels[b]), len(b)) for b in order.batches()]
        after = trainer.head()
        trainer.reset()
        training = start(labels, order)
        found[f"{last}: mean loss"] = training.advance(order.steps)
        found[f"{last}: steps"] = order.steps
        found[f"{last}: mean loss, step by step"] = sum(x * n for x, n in singly) / sum(n for _, n in singly)
        found[f"{last}: the head is the same"] = bool(np.allclose(trainer.head().kernel, after.kernel, atol=1e-6))
        found[f"{last}: one step more"] = _raised(training.advance, 1)
        training.close()
        training.close()
    return found


def _equal(ours, theirs) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def _raised(action, *arguments) -> str:
    try:
        action(*arguments)
    except BaseException as error:
        return type(error).__name__
    return "nothing"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), "--reference" in sys.argv)
