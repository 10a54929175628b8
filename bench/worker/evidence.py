"""The evidence for the proof of sameness: what a trainer computes, as arrays. The conductor compares them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backends.base import Trainer, Training
from backends.task import STATISTICS, Task
from backends.values import Order, Tensors
from bench.data.order import order_hash
from bench.weights import checkpoints
from bench.worker.job import Job

Arrays = dict[str, np.ndarray]

#: Steps of the trajectory where something below the head is trained. Momentum acts from the second on, and rounding
#: differences grow: all of a Lite0, trained at 0.001, has losses that differ by 3e-7 in the first step, by 3e-5 in the
#: third and by 0.1 in the eighth, from one framework to another.
BELOW_THE_HEAD_STEPS = 3


def evidence(
    trainer: Trainer,
    train: tuple[np.ndarray, np.ndarray],
    order: Order,
    checkpoint: Tensors,
    job: Job,
    begin: Callable[[Order], Training] | None = None,
) -> Arrays:
    """Everything that steps 1 to 4 and 6 of the proof compare. The trainer starts fresh and is left used.

    Arrays: `inputs` (n, s, s, 3), `features` (n, d) and `logits` (n, c) of the first images; `loss` and gradient of
    the first step; `losses` (steps,) and head of the trajectory; gradients of the tensors that are trained below the
    head, how far they moved, and the running statistics; head of the same steps through the input pipeline, or on
    cached features, as `begin` has it; `altered`, the names of tensors that differ from the checkpoint.
    """
    images, labels = train
    steps = min(job.proof_steps, BELOW_THE_HEAD_STEPS) if trainer.task.trained else job.proof_steps
    batches = list(order.batches())[:steps]
    first = images[: job.proof_images]
    before = trainer.parameters()
    found: Arrays = {
        "weights_hash": np.array(checkpoints.sha256(before)[:12]),
        "order_hash": np.array(order_hash(order)),
        "inputs": trainer.preprocess(first),
        "features": trainer.features(first),
        "logits": trainer.logits(first),
    }
    trainer.reset()
    loss, gradient = trainer.loss_and_gradient(images[batches[0]], labels[batches[0]])
    found |= {"loss": np.array(loss), "gradient_kernel": gradient.kernel, "gradient_bias": gradient.bias}
    if trainer.task.trained:
        trainer.reset()
        below = trainer.backbone_gradient(images[batches[0]], labels[batches[0]])
        found |= {f"gradient/{name}": value for name, value in below.items()}

    trainer.reset()
    found["losses"] = np.array([trainer.step(images[batch], labels[batch]) for batch in batches])
    found["head_kernel"], found["head_bias"] = trainer.head()
    after = trainer.parameters()
    found |= {f"statistic/{name}": tensor for name, tensor in after.items() if is_statistic(name)}
    found |= {f"moved/{name}": after[name] - before[name] for name in trainer.task.trained}
    found |= alterations(checkpoint, after)

    trainer.reset()
    training = begin(order) if begin else trainer.start(images, labels, order)
    mean_loss = training.advance(len(batches))
    training.close()
    found["pipeline_loss"] = np.array(mean_loss)
    found["pipeline_kernel"], found["pipeline_bias"] = trainer.head()
    return found


def alterations(checkpoint: Tensors, after: Tensors) -> Arrays:
    """Names of the weights, and of the running statistics, that are not bit-identical to the checkpoint."""
    altered = [name for name in checkpoint if not np.array_equal(checkpoint[name], after[name])]
    return {
        "altered_weights": np.array([name for name in altered if not is_statistic(name)], dtype=str),
        "altered_statistics": np.array([name for name in altered if is_statistic(name)], dtype=str),
        "statistics": np.array([name for name in checkpoint if is_statistic(name)], dtype=str),
    }


def is_statistic(name: str) -> bool:
    """Whether a tensor is a running statistic of a batch normalisation."""
    return name.endswith(STATISTICS)


def evaluation_batch(task: Task) -> int:
    """Images per batch of an evaluation: the task's own where the batch normalises itself, else one that is fast.

    Larger ones are slower in PyTorch on two cores: Lite0 at 96 px took 308 to 343 images/s at 32, 242 to 252 at 64,
    165 to 174 at 250.
    """
    return task.batch_size if task.batch_norm == "batch_stats" else 32
