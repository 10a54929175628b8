"""One epoch of a fine-tune, and the evaluation on the test set."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from bench.worker.part_report import PartReport
from bench.worker.plugin import CaseSession

#: Approximate seconds between two progress messages of a fine-tune.
PROGRESS_SECONDS = 0.5


def train_epoch(session: CaseSession, advance: Callable[[int], float], epoch: int) -> float:
    """Train one epoch, in pieces between which progress is sent; returns the mean loss per image."""
    total = session.order.steps_per_epoch
    done, piece, loss_sum, images = 0, 1, 0.0, 0
    while done < total:
        piece = min(piece, total - done)
        began = time.perf_counter()
        loss = advance(piece)
        took = time.perf_counter() - began
        done += piece
        size = piece * session.task.batch_size
        if done == total:
            size = len(session.order.permutations[0]) - images if not session.order.drop_last else size
        loss_sum += loss * size
        images += size
        session.baton.send("progress", epoch=epoch, steps=done, of=total)
        piece = max(1, round(piece * PROGRESS_SECONDS / max(took, 1e-9)))
    return loss_sum / images


def evaluate(session: CaseSession) -> np.ndarray:
    """Compute the class scores of all test images, (m, c); progress is sent."""
    images = len(session.test[1])
    size = images if session.features else session.evaluation_batch_size
    report, scores = PartReport(session.baton, images), []
    for at in range(0, images, size):
        scores.append(session.logits(at, size))
        report(min(at + size, images))
    return np.concatenate(scores)
