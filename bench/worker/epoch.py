"""One epoch of a fine-tune, and the look at the test set after it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from bench.worker.plugin import Bench

#: A fine-tune reports its progress about this often.
PROGRESS_SECONDS = 0.5


def train_epoch(bench: Bench, advance: Callable[[int], float], epoch: int) -> float:
    """One epoch in pieces that let progress be seen; the mean loss per image."""
    total = bench.order.steps_per_epoch
    done, piece, loss_sum, images = 0, 1, 0.0, 0
    while done < total:
        piece = min(piece, total - done)
        began = time.perf_counter()
        loss = advance(piece)
        took = time.perf_counter() - began
        done += piece
        size = piece * bench.task.batch_size
        if done == total:
            size = len(bench.order.permutations[0]) - images if not bench.order.drop_last else size
        loss_sum += loss * size
        images += size
        bench.baton.say("progress", epoch=epoch, steps=done, of=total)
        piece = max(1, round(piece * PROGRESS_SECONDS / max(took, 1e-9)))
    return loss_sum / images


def evaluate(bench: Bench) -> np.ndarray:
    """Class scores (m, c) of all test images."""
    size = len(bench.test[1]) if bench.features else bench.evaluation_batch
    return np.concatenate([bench.logits(at, size) for at in range(0, len(bench.test[1]), size)])
