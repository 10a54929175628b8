"""The facts of a contract: how a trainer behaves where `backends.base` says how it must. JSON-ready."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from backends.base import Trainer, Training
from backends.values import Head, Order
from bench.conformance.small_tasks import Inputs
from bench.data.order import draw_order

Facts = dict[str, object]


def describe_reset(trainer: Trainer, inputs: Inputs) -> Facts:
    """Describe what a step moves, and what a reset and a gradient leave."""
    images, labels = inputs.images[:4], inputs.labels[:4]
    found: Facts = {}
    trainer.reset()
    start = trainer.parameters(), trainer.head()
    first = [trainer.step(images, labels) for _ in range(3)]
    found["a step moves the head"] = not np.array_equal(trainer.head().kernel, start[1].kernel)
    trainer.reset()
    found["reset restores the head"] = are_equal(trainer.head(), inputs.head)
    found["reset restores the backbone"] = are_equal(trainer.parameters().values(), start[0].values())
    found["reset forgets the momentum"] = [trainer.step(images, labels) for _ in range(3)] == first
    trainer.reset()
    trainer.loss_and_gradient(images, labels)
    found["a gradient changes nothing"] = are_equal(trainer.head(), inputs.head)
    return found


def describe_partial_batches(
    trainer: Trainer, inputs: Inputs, start: Callable[[np.ndarray, Order], Training] | None = None
) -> Facts:
    """Describe ten images in batches of four, twice: trained step by step, and as `start` has it.

    Args:
        start: from labels and order; None for the input pipeline.
    """
    images, labels = inputs.images, inputs.labels
    start = start or partial(trainer.start, images)
    found: Facts = {}
    for last in ("kept", "dropped"):
        order = draw_order(10, 2, 4, last == "dropped", trainer.task.seed)
        trainer.reset()
        singly = [(trainer.step(images[b], labels[b]), len(b)) for b in order.batches()]
        after = trainer.head()
        trainer.reset()
        training = start(labels, order)
        found[f"{last}: mean loss"] = training.advance(order.steps)
        found[f"{last}: steps"] = order.steps
        found[f"{last}: mean loss, step by step"] = sum(x * n for x, n in singly) / sum(n for _, n in singly)
        found[f"{last}: the head is the same"] = _are_close(trainer.head(), after)
        found[f"{last}: one step more"] = name_error(training.advance, 1)
        training.close()
        training.close()
    return found


def describe_pauses(trainer: Trainer, inputs: Inputs) -> Facts:
    """Describe training that is continued, used up and closed."""
    found: Facts = {}
    trainer.reset()
    order = inputs.order
    training = trainer.start(inputs.images, inputs.labels, order)
    training.advance(5)
    at_rest = trainer.head()
    threading.Event().wait(0.3)
    found["rests between calls"] = are_equal(trainer.head(), at_rest)
    training.advance(order.steps - 7)
    found["more steps than are left"] = name_error(training.advance, 3)
    training.close()
    found["after close"] = name_error(training.advance, 1)
    return found


def describe_closing(trainer: Trainer, inputs: Inputs) -> Facts:
    """Describe what is left after closing at once and midway: names of threads and processes."""
    found: Facts = {}
    before = {thread.ident for thread in threading.enumerate()}
    for when, steps in (("at once", 0), ("midway", 2)):
        training = trainer.start(inputs.images, inputs.labels, inputs.order)
        if steps:
            training.advance(steps)
        training.close()
        training.close()
        left = [thread.name for thread in threading.enumerate() if thread.ident not in before]
        found[f"closed {when}: left over"] = left + [p.name for p in multiprocessing.active_children()]
    return found


def describe_device_batches(trainer: Trainer, inputs: Inputs) -> Facts:
    """Describe three steps on batches on the device, beside the same through the pipeline."""
    images, labels, order = inputs.images, inputs.labels, inputs.order
    found: Facts = {}
    trainer.reset()
    training = trainer.start(images, labels, order)
    loss = training.advance(3)
    training.close()
    through_pipeline = trainer.head()
    trainer.reset()
    few = Order(order.permutations[:, : 3 * order.batch_size], order.batch_size, False)
    training = trainer.start_on_device(images, labels, few)
    found["on the device: the same loss"] = bool(np.isclose(training.advance(3), loss, rtol=1e-5))
    found["on the device: the same head"] = _are_close(trainer.head(), through_pipeline)
    training.advance(4)  # `compute` rounds go round the same few batches
    training.close()
    return found


def describe_wrong_labels(trainer: Trainer, inputs: Inputs) -> Facts:
    """Describe training on a label that is not a class."""
    trainer.reset()
    training = trainer.start(inputs.images, np.full_like(inputs.labels, 77), inputs.order)
    found: Facts = {"a label that is not a class": name_error(training.advance, 1)}
    training.close()
    return found


def describe_head_training(trainer: Trainer, inputs: Inputs) -> Facts:
    """Describe the head's training on features. The trainer must be in its initial state."""
    computed = trainer.features(inputs.images)
    logits = trainer.head_logits(computed[:8]), trainer.logits(inputs.images[:8])
    found: Facts = {"logits": bool(np.allclose(*logits, atol=1e-5))}
    return found | describe_partial_batches(trainer, inputs, partial(trainer.start_on_features, computed))


def are_equal(ours: Iterable[np.ndarray], theirs: Iterable[np.ndarray]) -> bool:
    """Whether two lists of arrays are equal, bit by bit."""
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def name_error(action: Callable, *arguments: object) -> str:
    """The name of the error that a call raises; `nothing` without one."""
    try:
        action(*arguments)
    except Exception as error:
        return type(error).__name__
    return "nothing"


def _are_close(ours: Head, theirs: Head) -> bool:
    return bool(np.allclose(ours.kernel, theirs.kernel, atol=1e-6))
