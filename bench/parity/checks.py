"""The checks of the proof of sameness: a backend's evidence against PyTorch fp32's. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from backends.task import DATASETS, Task
from bench.parity.tolerances import (
    FIRST_STEP,
    FIRST_STEP_BATCH_STATS,
    FOLLOWING_BELOW,
    FORWARD,
    GRADIENT_BELOW,
    INPUTS,
    INPUTS_RESIZED,
    MOVED_BELOW,
    PREDICTIONS,
    ROUNDED,
    ROUNDED_PREDICTIONS,
    ROUNDED_TOP_1,
    TRAJECTORY,
)
from bench.records.record import Check

Arrays = Mapping[str, np.ndarray]

#: Checks that what is trained below the head goes into.
FOLLOWING = ("losses", "trajectory", "pipeline loss", "running statistics")
#: Checks that no forward goes into.
EXACT = ("preprocessing",)
#: Two-sided 95 % quantile of the normal distribution.
Z95 = 1.959964


def own_checks(mine: Arrays, task: Task, pipeline: float) -> list[Check]:
    """What a backend can be held to on its own: frozen means frozen, and its pipeline keeps the order."""
    kept = max(
        difference(mine["pipeline_kernel"], mine["head_kernel"]),
        difference(mine["pipeline_bias"], mine["head_bias"]),
    )
    return [
        *intact(mine, task, "frozen"),
        check("pipeline order", kept, pipeline, "head after the same steps through the input pipeline"),
    ]


def intact(evidence: Arrays, task: Task, name: str) -> list[Check]:
    """Whether frozen tensors are bit-identical, trained ones moved, and running statistics do what the task says."""
    altered = [str(tensor) for tensor in evidence["altered_weights"]]
    weights = [tensor for tensor in altered if tensor not in task.trained]
    moved, statistics = len(evidence["altered_statistics"]), len(evidence["statistics"])
    checks = [check(name, len(weights), 0, f"altered: {weights[0]}" if weights else "weights bit-identical")]
    if idle := _still(evidence, task, altered):
        checks.append(check(f"{name}, trained", len(idle), 0, f"stood still: {idle[0]}"))
    if task.batch_norm == "frozen":
        checks.append(check(f"{name}, statistics", moved, 0, f"{moved} of {statistics} running statistics moved"))
    else:
        still = statistics - moved
        checks.append(check(f"{name}, statistics", still, 0, f"{still} of {statistics} running statistics stood still"))
    return checks


def checks_against(mine: Arrays, reference: Arrays, task: Task, precision: str) -> list[Check]:
    """Everything that the reference computes too, from the network's inputs to the head after some steps."""

    def relative(name: str, *arrays: str, tolerance: float, detail: str) -> Check:
        worst = max(difference(mine.get(array), reference[array]) for array in arrays)
        if task.trained and name in FOLLOWING:
            tolerance = FOLLOWING_BELOW
        return check(name, worst, tolerance if name in EXACT else ROUNDED.get(precision, tolerance), detail)

    first_step = FIRST_STEP if task.batch_norm == "frozen" else FIRST_STEP_BATCH_STATS
    below = (
        ("gradient", "first gradient below", GRADIENT_BELOW[task.batch_norm]),
        ("moved", "trajectory below", MOVED_BELOW),
    )
    resized = task.image_size != DATASETS[task.dataset][0]
    checks = [
        check(
            "weights",
            float(mine["weights_hash"] != reference["weights_hash"]),
            0,
            "hash of the built backbone",
        ),
        check("order", float(mine["order_hash"] != reference["order_hash"]), 0, "hash of the order of images"),
        relative(
            "preprocessing",
            "inputs",
            tolerance=INPUTS_RESIZED if resized else INPUTS,
            detail="network inputs, resized" if resized else "network inputs",
        ),
        relative("features", "features", tolerance=FORWARD, detail="pooled features"),
        relative("logits", "logits", tolerance=FORWARD, detail="class scores"),
        relative("first loss", "loss", tolerance=first_step, detail="loss of the first step"),
        relative(
            "first gradient",
            "gradient_kernel",
            "gradient_bias",
            tolerance=first_step,
            detail="gradient of head kernel and bias",
        ),
        relative("losses", "losses", tolerance=TRAJECTORY, detail=f"{len(mine['losses'])} steps, each"),
        relative(
            "trajectory",
            "head_kernel",
            "head_bias",
            tolerance=TRAJECTORY,
            detail=f"head after {len(mine['losses'])} steps",
        ),
        relative("pipeline loss", "pipeline_loss", tolerance=TRAJECTORY, detail="mean loss through the pipeline"),
    ]
    for part, what, tolerance in below if task.trained else ():
        names = [f"{part}/{name}" for name in task.trained]
        worst = _distance([mine.get(name) for name in names], [reference[name] for name in names])
        allowed = max(tolerance, ROUNDED.get(precision, 0.0))
        checks.append(check(what, worst, allowed, f"{len(names)} tensors of the backbone"))
    if task.batch_norm == "batch_stats":
        names = [name for name in reference if name.startswith("statistic/")]
        checks.append(
            relative("running statistics", *names, tolerance=TRAJECTORY, detail="means and unbiased variances")
        )
    if precision in ROUNDED:
        other = np.mean(mine["logits"].argmax(axis=1) != reference["logits"].argmax(axis=1))
        checks.append(check("top-1", other, ROUNDED_TOP_1, f"share of {len(mine['logits'])} images with another class"))
    return checks


def outcome_checks(mine: Arrays, reference: Arrays, task: Task, precision: str) -> list[Check]:
    """Test accuracy and predictions after the whole fine-tune."""
    labels = mine["labels"]
    ours, theirs = (np.mean(run["predictions"] == labels) for run in (mine, reference))
    pooled = (ours + theirs) / 2
    noise = Z95 * np.sqrt(2 * pooled * (1 - pooled) / len(labels))
    checks = [check("outcome", abs(ours - theirs), noise, f"test accuracy {ours:.4f} and {theirs:.4f}, binomial noise")]
    if task.batch_norm == "frozen" and not task.trained:
        differ = float(np.mean(mine["predictions"] != reference["predictions"]))
        allowed = ROUNDED_PREDICTIONS if precision in ROUNDED else PREDICTIONS
        checks.append(check("predictions", differ, allowed, f"share of {len(labels)} test images"))
    return checks


def difference(mine: np.ndarray | None, reference: np.ndarray) -> float:
    """Largest absolute difference over the largest absolute reference value; infinite where there is none, or shapes
    differ.
    """
    if mine is None or mine.shape != reference.shape or not np.isfinite(mine).all():
        return float("inf")
    return float(np.abs(mine - reference).max() / max(np.abs(reference).max(), 1e-30))


def _distance(mine: Sequence[np.ndarray | None], reference: Sequence[np.ndarray]) -> float:
    """Euclidean distance of two sets of arrays over the norm of the second; infinite where one is missing.

    Not the largest of single tensors' differences: some have no gradient but rounding, as the shift of a normalisation
    that another normalisation follows.
    """
    if any(a is None or a.shape != b.shape or not np.isfinite(a).all() for a, b in zip(mine, reference, strict=True)):
        return float("inf")
    apart = sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in zip(mine, reference, strict=True))
    return (apart / max(sum(float(np.square(b, dtype=np.float64).sum()) for b in reference), 1e-30)) ** 0.5


def _still(evidence: Arrays, task: Task, altered: Sequence[str]) -> list[str]:
    """Trained tensors that were not altered although they have a gradient; of a fine-tune none is known."""
    sizes = {
        name: float(np.abs(evidence[f"gradient/{name}"]).max())
        for name in task.trained
        if f"gradient/{name}" in evidence
    }
    least = GRADIENT_BELOW[task.batch_norm] * max(sizes.values(), default=0)
    return [name for name, size in sizes.items() if size > least and name not in altered]


def check(name: str, difference: float, tolerance: float, detail: str) -> Check:
    """A check with its outcome: passed where the difference is at most the tolerance."""
    return Check(
        name=name,
        difference=float(difference),
        tolerance=float(tolerance),
        passed=bool(difference <= tolerance),
        detail=detail,
    )
