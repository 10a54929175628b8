"""The test accuracy after each epoch of a fine-tune, computed when all its clocks and memory peaks have been read.

An evaluation between two epochs would warm up the last one, which is timed. Where only the head is trained and batch
norm is frozen, the features of an image are the same after every epoch: then a copy of the head at the end of each is
enough, and the scores of all epochs follow from features that are computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from backends.task import Task
from backends.values import Head
from bench.worker.part_report import PartReport

if TYPE_CHECKING:
    from bench.worker.plugin import CaseSession

#: The worker's name of this phase.
PHASE = "evaluation by epoch"
#: Most test images whose features are computed for it; of cached features all are used.
MOST_IMAGES = 2000


def can_score_epochs(task: Task) -> bool:
    """Whether the accuracy after each epoch follows from copies of the head, and says more than the one evaluation."""
    return task.epochs > 1 and task.weights != "random" and task.batch_norm == "frozen" and not task.trained


def count_scored_images(test_images: int, batch_size: int) -> int:
    """Count the test images, the first ones, that are scored after each epoch.

    They are whole batches of the evaluation where not all are used: a batch of another size would be compiled anew.
    """
    return test_images if test_images <= MOST_IMAGES else MOST_IMAGES // batch_size * batch_size


def score_epochs(session: CaseSession, heads: Mapping[int, Sequence[Head]]) -> None:
    """Send, for each fine-tune, how many test images are classified correctly after each epoch.

    Args:
        heads: copies of the head at the end of each epoch, by the fine-tune's seed.
    """
    session.baton.send("phase", name=PHASE)
    features = _compute_features(session)
    labels = session.test[1][: len(features)]
    for seed, copies in heads.items():
        correct = [count_correct(features, labels, head) for head in copies]
        session.baton.send("epochs scored", kind=str(seed), correct=correct, images=len(labels))


def count_correct(features: np.ndarray, labels: np.ndarray, head: Head) -> int:
    """Count the images that a head classifies correctly, from their features (n, d) and labels (n,)."""
    return int(((features @ head.kernel + head.bias).argmax(axis=1) == labels).sum())


def _compute_features(session: CaseSession) -> np.ndarray:
    """The features (n, d) of the first test images, in the batches of the evaluation."""
    if session.features:
        return session.features.test
    images, size = session.test[0], session.evaluation_batch_size
    count = count_scored_images(len(images), size)
    report, features = PartReport(session.baton, count), []
    for at in range(0, count, size):
        features.append(session.trainer.features(images[at : at + size]))
        report(min(at + size, count))
    return np.concatenate(features)
