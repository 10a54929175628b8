"""Order: what a training run starts from that is drawn at random, once, for all frameworks."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from backends.values import Head, Order
from bench.errors import UserError

#: Second words of the seed (1 is the subset's, 3 the random weights').
ORDER_STREAM = 2
HEAD_STREAM = 4


def draw_order(n: int, epochs: int, batch_size: int, drop_last: bool, seed: int) -> Order:
    """One permutation of `n` images for each epoch; epoch e is the same however many epochs there are.

    Raises:
        UserError: the last batch is dropped and there is no other.
    """
    if drop_last and batch_size > n:
        raise UserError(f"{n} training images fill no batch of {batch_size}: use smaller batches or keep the last one")
    streams = [np.random.default_rng([seed, ORDER_STREAM, epoch]) for epoch in range(epochs)]
    permutations = np.stack([stream.permutation(n) for stream in streams]).astype(np.int64)
    return Order(permutations, batch_size, drop_last)


def order_hash(order: Order) -> str:
    """First 16 hex digits of the SHA-256 of the permutations and of how they are cut into batches."""
    digest = hashlib.sha256(f"{order.permutations.shape} {order.batch_size} {order.drop_last}".encode())
    digest.update(np.ascontiguousarray(order.permutations, dtype="<i8").data)
    return digest.hexdigest()[:16]


def initial_head(features: int, classes: int, seed: int) -> Head:
    """Kernel (features, classes) and bias (classes,), float32, uniform within 1/sqrt(features) of zero.

    Source of the bound: PyTorch's `nn.Linear.reset_parameters`, whose Kaiming-uniform kernel with a = sqrt(5)
    is this one. Keras draws Glorot-uniform and a zero bias, so one of the two has to be chosen for all.
    """
    bound = 1 / math.sqrt(features)
    stream = np.random.default_rng([seed, HEAD_STREAM])
    kernel = stream.uniform(-bound, bound, (features, classes)).astype(np.float32)
    return Head(kernel, stream.uniform(-bound, bound, classes).astype(np.float32))
