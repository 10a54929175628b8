"""The random start of a training run, drawn once for all frameworks: the order of images, how each is augmented in each
epoch, and the initial head.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np

from backends import augmentation
from backends.task import Task
from backends.values import Head, Order
from bench.data.augmentations import draw_augmentations
from bench.errors import UserError

#: Second words of the seed; other modules use 1 and 5 for subsets, 3 for random weights, and 6 to 8 for augmentations.
ORDER_STREAM = 2
HEAD_STREAM = 4


def draw_order(n: int, epochs: int, batch_size: int, drop_last: bool, seed: int) -> Order:
    """Draw a permutation of `n` images for each epoch. That of epoch e does not depend on the number of epochs.

    Raises:
        UserError: the partial last batch is dropped, and there is no other.
    """
    if drop_last and batch_size > n:
        raise UserError(
            f"{n} training images do not fill a batch of {batch_size}: use a smaller batch size, or keep the last batch"
        )
    streams = [np.random.default_rng([seed, ORDER_STREAM, epoch]) for epoch in range(epochs)]
    permutations = np.stack([stream.permutation(n) for stream in streams]).astype(np.int64)
    return Order(permutations, batch_size, drop_last)


def draw_training(n: int, task: Task, seed: int) -> Order:
    """Draw the order of a task's `n` training images, and how each of them is augmented in each epoch.

    Raises:
        UserError: see `draw_order`.
    """
    order = draw_order(n, task.epochs, task.batch_size, task.last_batch == "dropped", seed)
    return replace(order, augmentations=draw_augmentations(n, task, seed)) if augmentation.augments(task) else order


def hash_order(order: Order) -> str:
    """First 16 hex digits of the SHA-256 of the permutations, of their division into batches, and of augmentations."""
    digest = hashlib.sha256(f"{order.permutations.shape} {order.batch_size} {order.drop_last}".encode())
    digest.update(np.ascontiguousarray(order.permutations, dtype="<i8").data)
    if order.augmentations is not None:
        digest.update(np.ascontiguousarray(order.augmentations, dtype="<f4").data)
    return digest.hexdigest()[:16]


def draw_head(features: int, classes: int, seed: int) -> Head:
    """Draw the initial head: kernel (features, classes) and bias (classes,), float32, uniform in ± 1/sqrt(features).

    Source of the bound: PyTorch's `nn.Linear.reset_parameters`, a Kaiming-uniform kernel with a = sqrt(5). Keras draws
    a Glorot-uniform kernel and a zero bias; all frameworks have to start from the same one.
    """
    bound = 1 / math.sqrt(features)
    stream = np.random.default_rng([seed, HEAD_STREAM])
    kernel = stream.uniform(-bound, bound, (features, classes)).astype(np.float32)
    return Head(kernel, stream.uniform(-bound, bound, classes).astype(np.float32))
