"""The proof of sameness: one backend's evidence against PyTorch fp32 eager's. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from backends.task import DATASETS, Task
from bench.record import Check, Proof

Arrays = Mapping[str, np.ndarray]

#: The backend and variant that others are compared with.
REFERENCE = ("pytorch", "default")

# Tolerances, relative to the largest reference value unless said otherwise.
INPUTS = 1e-6
#: Resized images: the frameworks round interpolation weights and order the four-term sum differently in float32.
#: 32 rounding units (2 ** -23); 1.1e-6 was seen at 96 px.
INPUTS_RESIZED = 4e-6
FORWARD = 1e-4
FIRST_STEP = 1e-5
#: Normalising by a batch of few values divides rounding differences by small deviations: at four values a channel
#: gradients that are the same by every other check were seen to differ by 1.2e-5.
FIRST_STEP_BATCH_STATS = 1e-4
TRAJECTORY = 1e-4
#: Where something below the head is trained, of its first gradient, over all its tensors together. Activations within
#: rounding of a ReLU's kink give another one: with statistics of a batch of four it differed by 1.2e-2 where one was,
#: and by 3e-5 where none was.
GRADIENT_BELOW = {"frozen": 1e-3, "batch_stats": 5e-2}
#: Of how far these tensors moved in three steps: PyTorch against itself from a head that differs by 4e-6, as the
#: frameworks' features do, is 1.8e-3 off (Lite0, all trained, at 64 px); another momentum, rate or tensor is off by
#: tens of per cent.
MOVED_BELOW = 5e-2
#: Of the head, the losses and the statistics that follow from them.
FOLLOWING_BELOW = 1e-3
PIPELINE = 1e-5
#: Share of test images on which predictions may differ, where batch norm is `frozen` and just the head is trained.
PREDICTIONS = 0.005
#: By precision below fp32, what each figure of the proof that the forward goes into may differ by. bfloat16 has 8 bits
#: of significand, half a unit of the last one is 2 ** -9 of a number below 1: features of a ResNet-18 with random
#: weights were seen to differ by 4.4 of these, gradients of the first step by 5.6, whatever the framework. 16 are
#: allowed. float16 and TensorFloat-32 have 11 bits, and may have 16 of 2 ** -11, for hardware may cut off what it does
#: not round; in float16 features differed by 2.0 of these and gradients by 2.5.
ROUNDED = {"bf16": 16 * 2**-9, "fp16": 16 * 2**-11, "tf32": 16 * 2**-11}
#: Share of images of which the first class may be another, among those of the proof and those of the test set.
ROUNDED_TOP_1 = 1 / 8
ROUNDED_PREDICTIONS = 0.02
#: Checks that what is trained below the head goes into.
FOLLOWING = ("losses", "trajectory", "pipeline loss", "running statistics")
#: Checks that no forward goes into.
EXACT = ("preprocessing",)
#: Two-sided 95 % quantile of the normal distribution.
Z95 = 1.959964


def prove(
    mine: Arrays,
    reference: Arrays | None,
    task: Task,
    outcome: tuple[Arrays, Arrays | None] | None,
    precision: str = "fp32",
    cached: bool = False,
) -> Proof:
    """All checks that the evidence allows.

    Args:
        mine, reference: the contents of two `proof.npz`; no reference leaves the case unproven.
        task: says the batch-norm mode.
        outcome: the contents of the two `fine_tune.npz`, where the fine-tune was run.
        precision: of the frozen forward; below fp32 the tolerances are its own.
        cached: whether the pipeline is one of features that were extracted before, in a form of their own.
    """
    exact = FORWARD if cached else PIPELINE
    # A graph of another batch may fuse other operations, and rounds less often where it does.
    checks = _own_checks(mine, task, ROUNDED.get(precision, exact))
    if "cached_features" in mine:
        apart = _difference(mine["cached_features"], mine["features"])
        checks.append(_check("cached features", apart, ROUNDED.get(precision, FORWARD), "as kept, of the same images"))
    if reference is not None and reference is not mine:
        checks += _checks_against(mine, reference, task, precision)
    if outcome is not None:
        checks += _intact(outcome[0], task, "frozen after fine-tune")
        if reference is not None and reference is not mine and outcome[1] is not None:
            checks += _outcome(outcome[0], outcome[1], task, precision)
    failed = [check for check in checks if not check.passed]
    if failed:
        worst = failed[0]
        status, reason = (
            "failed",
            f"{worst.name}: {worst.difference:.2g} > {worst.tolerance:.2g} ({worst.detail})",
        )
    elif mine is reference:
        status, reason = "reference", ""
    elif reference is None:
        status, reason = "unproven", f"no {REFERENCE[0]} reference to compare with"
    else:
        status, reason = "proven", ""
    return Proof(
        status=status,
        reason=reason,
        checks=tuple(checks),
        weights_hash=str(mine["weights_hash"]),
        order_hash=str(mine["order_hash"]),
        seconds=0.0,
    )


def _own_checks(mine: Arrays, task: Task, pipeline: float) -> list[Check]:
    """What a backend can be held to on its own: frozen means frozen, and its pipeline keeps the order."""
    kept = max(
        _difference(mine["pipeline_kernel"], mine["head_kernel"]),
        _difference(mine["pipeline_bias"], mine["head_bias"]),
    )
    return [
        *_intact(mine, task, "frozen"),
        _check("pipeline order", kept, pipeline, "head after the same steps through the input pipeline"),
    ]


def _intact(evidence: Arrays, task: Task, name: str) -> list[Check]:
    altered = [str(tensor) for tensor in evidence["altered_weights"]]
    weights = [tensor for tensor in altered if tensor not in task.trained]
    moved, statistics = len(evidence["altered_statistics"]), len(evidence["statistics"])
    checks = [_check(name, len(weights), 0, f"altered: {weights[0]}" if weights else "weights bit-identical")]
    if idle := _still(evidence, task, altered):
        checks.append(_check(f"{name}, trained", len(idle), 0, f"stood still: {idle[0]}"))
    if task.batch_norm == "frozen":
        checks.append(_check(f"{name}, statistics", moved, 0, f"{moved} of {statistics} running statistics moved"))
    else:
        still = statistics - moved
        checks.append(
            _check(f"{name}, statistics", still, 0, f"{still} of {statistics} running statistics stood still")
        )
    return checks


def _checks_against(mine: Arrays, reference: Arrays, task: Task, precision: str) -> list[Check]:
    def relative(name: str, *arrays: str, tolerance: float, detail: str) -> Check:
        worst = max(_difference(mine.get(array), reference[array]) for array in arrays)
        if task.trained and name in FOLLOWING:
            tolerance = FOLLOWING_BELOW
        return _check(name, worst, tolerance if name in EXACT else ROUNDED.get(precision, tolerance), detail)

    first_step = FIRST_STEP if task.batch_norm == "frozen" else FIRST_STEP_BATCH_STATS
    below = (
        ("gradient", "first gradient below", GRADIENT_BELOW[task.batch_norm]),
        ("moved", "trajectory below", MOVED_BELOW),
    )
    resized = task.image_size != DATASETS[task.dataset][0]
    checks = [
        _check(
            "weights",
            float(mine["weights_hash"] != reference["weights_hash"]),
            0,
            "hash of the built backbone",
        ),
        _check("order", float(mine["order_hash"] != reference["order_hash"]), 0, "hash of the order of images"),
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
        checks.append(_check(what, worst, allowed, f"{len(names)} tensors of the backbone"))
    if task.batch_norm == "batch_stats":
        names = [name for name in reference if name.startswith("statistic/")]
        checks.append(
            relative("running statistics", *names, tolerance=TRAJECTORY, detail="means and unbiased variances")
        )
    if precision in ROUNDED:
        other = np.mean(mine["logits"].argmax(axis=1) != reference["logits"].argmax(axis=1))
        checks.append(
            _check("top-1", other, ROUNDED_TOP_1, f"share of {len(mine['logits'])} images with another class")
        )
    return checks


def _outcome(mine: Arrays, reference: Arrays, task: Task, precision: str) -> list[Check]:
    labels = mine["labels"]
    ours, theirs = (np.mean(run["predictions"] == labels) for run in (mine, reference))
    pooled = (ours + theirs) / 2
    noise = Z95 * np.sqrt(2 * pooled * (1 - pooled) / len(labels))
    checks = [
        _check("outcome", abs(ours - theirs), noise, f"test accuracy {ours:.4f} and {theirs:.4f}, binomial noise")
    ]
    if task.batch_norm == "frozen" and not task.trained:
        differ = float(np.mean(mine["predictions"] != reference["predictions"]))
        allowed = ROUNDED_PREDICTIONS if precision in ROUNDED else PREDICTIONS
        checks.append(_check("predictions", differ, allowed, f"share of {len(labels)} test images"))
    return checks


def _difference(mine: np.ndarray | None, reference: np.ndarray) -> float:
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


def _check(name: str, difference: float, tolerance: float, detail: str) -> Check:
    return Check(
        name=name,
        difference=float(difference),
        tolerance=float(tolerance),
        passed=bool(difference <= tolerance),
        detail=detail,
    )
