"""The evidence for the proof of sameness: arrays that a trainer computes and the conductor compares."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np

from backends.backbones import STATISTICS
from backends.base import Trainer, Training
from backends.image_files import ImageFiles
from backends.task import Task
from backends.values import Order, Tensors
from bench.data.order import hash_order
from bench.weights import checkpoints
from bench.worker.group.group_trainer import GroupTrainer
from bench.worker.job import Job

Arrays = dict[str, np.ndarray]

#: Most updates of the trajectory if a part of the backbone is trained. Momentum acts from the second step on, and
#: rounding differences grow: when all of a Lite0 is trained at 0.001, the losses of two frameworks differ by 3e-7 in
#: the first step, by 3e-5 in the third and by 0.1 in the eighth.
MAX_STEPS_BELOW_HEAD = 3
#: Images whose features the reference computes in double precision, which takes several times as long.
EXACT_IMAGES = 4
#: Where steps are accumulated, the trajectory has at least so many updates: momentum acts from the second one on.
LEAST_UPDATES = 2


def gather_evidence(
    trainer: Trainer,
    train: tuple[np.ndarray, np.ndarray],
    order: Order,
    checkpoint: Tensors,
    job: Job,
    begin: Callable[[Order], Training] | None = None,
    report: Callable[..., object] = lambda done, silent_s=0.0: None,
    files: ImageFiles | None = None,
) -> Arrays:
    """Gather the arrays that steps 1 to 4 and 6 of the proof compare. The trainer must be in its initial state.

    Arrays: `inputs` (n, s, s, 3), `features` (n, d) and `logits` (n, c) of the first images; `exact_features`, of fewer
    images, where the trainer computes them; `augmented`, their inputs as in the first epoch, if the task augments
    images; `loss` and gradient of the first step, whose images are not augmented; the initial head (`initial_kernel`,
    `initial_bias`); `losses` (steps,) and head of the trajectory, whose images are augmented; gradients of the trained
    tensors below the head, their change, and the running statistics; loss and head of the same steps through the
    training that `begin` starts; names of tensors that differ from the checkpoint, see `find_alterations`. On several
    devices also: the losses of each process, and what they should be (`first_shares`, `pipeline_shares`), and the head
    of each (`head_kernels`).

    Args:
        begin: starts training in an order of images; None for the trainer's input pipeline.
        report: see `bench.worker.part_report.PartReport`; called with the number of finished steps, of
            `count_proof_steps`.
        files: those of the training images, if the input pipeline decodes them. There are also `decoded`, the first
            images as it decodes them, beside `given`; and the loss and head of the same steps on such images
            (`own_loss`, `own_kernel`, `own_bias`), which training through the pipeline has to agree with.
    """
    images, labels = train
    first = images[: job.proof_images]
    batches = list(itertools.islice(order.augmented_batches(), count_proof_steps(trainer.task, job) // 2))
    before = trainer.parameters()
    found: Arrays = {
        "weights_hash": np.array(checkpoints.hash_tensors(before)[:12]),
        "order_hash": np.array(hash_order(order)),
    }
    found |= _gather_forward(trainer, first, order)
    found |= _gather_first_step(trainer, images[batches[0][0]], labels[batches[0][0]])

    trainer.reset()
    found["initial_kernel"], found["initial_bias"] = trainer.head()
    began = time.monotonic()
    losses, shares = _train_step_by_step(trainer, lambda batch: images[batch], labels, batches, report)
    steps_s = time.monotonic() - began
    found["losses"] = np.array(losses)
    found["head_kernel"], found["head_bias"] = trainer.head()
    if isinstance(trainer, GroupTrainer):
        found["head_kernels"] = np.stack([head.kernel for head in trainer.heads()])
    after = trainer.parameters()
    found |= {f"statistic/{name}": tensor for name, tensor in after.items() if is_statistic(name)}
    found |= {f"moved/{name}": after[name] - before[name] for name in trainer.task.trained}
    found |= find_alterations(checkpoint, after)

    sizes = [len(batch) for batch, *_ in batches]
    if files is not None:
        found |= {"decoded": trainer.decode(files.take(np.arange(len(first)))), "given": first}
        trainer.reset()
        own, _ = _train_step_by_step(trainer, lambda batch: trainer.decode(files.take(batch)), labels, batches)
        found["own_loss"] = np.array(np.average(own, weights=sizes))
        found["own_kernel"], found["own_bias"] = trainer.head()

    trainer.reset()
    training = begin(order) if begin else trainer.start(images, labels, order)
    report(len(losses), silent_s=steps_s)  # the same steps again, in one call
    found["pipeline_loss"] = np.array(training.advance(len(batches)))
    if isinstance(trainer, GroupTrainer):
        found["pipeline_shares"] = np.array(trainer.losses)
        found["pipeline_shares_expected"] = np.average(shares, axis=0, weights=sizes)
    training.close()
    found["pipeline_kernel"], found["pipeline_bias"] = trainer.head()
    return found


def _gather_forward(trainer: Trainer, first: np.ndarray, order: Order) -> Arrays:
    """What the network computes of the first images, before any step."""
    found = {"inputs": trainer.preprocess(first), "features": trainer.features(first), "logits": trainer.logits(first)}
    if (exact := trainer.exact_features(first[:EXACT_IMAGES])) is not None:
        found["exact_features"] = exact
    if order.augmentations is not None:
        found["augmented"] = trainer.preprocess(first, order.augmentations[0, : len(first)])
    return found


def _gather_first_step(trainer: Trainer, images: np.ndarray, labels: np.ndarray) -> Arrays:
    """Loss and gradients of the first batch, and each process' own loss."""
    trainer.reset()
    loss, gradient = trainer.loss_and_gradient(images, labels)
    found = {"loss": np.array(loss), "gradient_kernel": gradient.kernel, "gradient_bias": gradient.bias}
    if isinstance(trainer, GroupTrainer):
        found["first_shares"] = np.array(trainer.losses)
        found["first_shares_expected"] = compute_share_losses(
            trainer.logits(images), labels, len(trainer.losses), trainer.task.label_smoothing
        )
    if trainer.task.trained:
        trainer.reset()
        below = trainer.backbone_gradient(images, labels)
        found |= {f"gradient/{name}": value for name, value in below.items()}
    return found


def _train_step_by_step(
    trainer: Trainer,
    take: Callable[[np.ndarray], np.ndarray],
    labels: np.ndarray,
    batches: Sequence[tuple[np.ndarray, ...]],
    report: Callable[[int], object] = lambda done: None,
) -> tuple[list[float], list[tuple[float, ...]]]:
    """Train on batches, with the images that `take` makes of their numbers, and the rows of their augmentation.

    Returns:
        The loss of each step, and on several devices the losses of its processes.
    """
    losses: list[float] = []
    shares: list[tuple[float, ...]] = []
    for batch, *rows in batches:
        report(len(losses))
        losses.append(trainer.step(take(batch), labels[batch], *rows))
        if isinstance(trainer, GroupTrainer):
            shares.append(trainer.losses)
    return losses, shares


def compute_share_losses(logits: np.ndarray, labels: np.ndarray, processes: int, label_smoothing: float) -> np.ndarray:
    """Compute the mean cross-entropy (processes,) of each process' share of a batch, from the class scores (n, c) and
    the labels (n,): the shares are equally many neighbours (`backends.values.Order.share`).
    """
    scores = logits.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    own = (1 - label_smoothing) * scores[np.arange(len(labels)), labels]
    losses = np.log(np.exp(scores).sum(axis=1)) - own - label_smoothing * scores.mean(axis=1)
    return losses.reshape(processes, -1).mean(axis=1)


def count_proof_steps(task: Task, job: Job) -> int:
    """Count the training steps of the evidence: those of the trajectory, and the same through the input pipeline."""
    if task.trained:
        return 2 * min(job.proof_steps, MAX_STEPS_BELOW_HEAD) * task.accumulate
    return 2 * (max(job.proof_steps, LEAST_UPDATES * task.accumulate) if task.accumulate > 1 else job.proof_steps)


def find_alterations(checkpoint: Tensors, after: Tensors) -> Arrays:
    """Find the weights and the running statistics that are not bit-identical to the checkpoint: arrays of names."""
    altered = [name for name in checkpoint if not np.array_equal(checkpoint[name], after[name])]
    return {
        "altered_weights": np.array([name for name in altered if not is_statistic(name)], dtype=str),
        "altered_statistics": np.array([name for name in altered if is_statistic(name)], dtype=str),
        "statistics": np.array([name for name in checkpoint if is_statistic(name)], dtype=str),
    }


def is_statistic(name: str) -> bool:
    """Whether a tensor is a running statistic of a batch normalisation."""
    return name.endswith(STATISTICS)


def choose_evaluation_batch_size(task: Task) -> int:
    """Choose the images per batch of an evaluation: the task's own with the batch's statistics, else a fast size.

    Larger batches are slower in PyTorch on two cores: Lite0 at 96 px took 308 to 343 images/s at 32, 242 to 252 at 64,
    165 to 174 at 250.
    """
    return task.batch_size if task.batch_norm == "batch_stats" else 32
