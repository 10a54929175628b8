"""The checks of the proof of sameness, which compare a case's evidence with the reference's. Functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from backends import augmentation
from backends.task import DATASETS, Task
from bench.parity.tolerances import (
    ADAMW_BACKBONE_MOVEMENT,
    ADAMW_REDUCED_PRECISION,
    ADAMW_REDUCED_PRECISION_PREDICTIONS,
    ADAMW_TRAINED_BACKBONE,
    BACKBONE_GRADIENT,
    BACKBONE_MOVEMENT,
    DECODING,
    DEVICE_HEADS,
    DEVICE_SHARE,
    FIRST_STEP,
    FIRST_STEP_BATCH_STATS,
    FORWARD,
    INPUTS,
    INPUTS_RESIZED,
    PREDICTIONS,
    REDUCED_PRECISION,
    REDUCED_PRECISION_PREDICTIONS,
    REDUCED_PRECISION_TOP_1,
    TRAINED_BACKBONE,
    TRAJECTORY,
    get_forward_tolerance,
)
from bench.records.record import Check

Arrays = Mapping[str, np.ndarray]

#: Checks of figures that depend on the training steps, and so on a trained backbone.
AFTER_TRAINING = ("losses", "trajectory", "pipeline loss", "running statistics")
#: Checks of figures that do not depend on the forward pass, so that its precision does not matter.
WITHOUT_FORWARD = ("preprocessing", "augmentation")
#: The parts of the head.
PARTS = ("kernel", "bias")
#: The check of images that an input pipeline decodes.
DECODING_CHECK = "decoding"
#: Two-sided 95 % quantile of the normal distribution.
NORMAL_QUANTILE_95 = 1.959964


def compute_rounding(reference: Arrays | None) -> float:
    """Compute what the reference loses in single precision, relative to the largest feature; 0 if it is not known."""
    if reference is None or "exact_features" not in reference:
        return 0.0
    exact = reference["exact_features"]
    return compute_difference(reference["features"][: len(exact)].astype(np.float64), exact)


def check_case_itself(mine: Arrays, task: Task, pipeline: float) -> list[Check]:
    """Check what needs no reference: that frozen tensors are frozen, and that the input pipeline keeps the order.

    Args:
        pipeline: tolerance of the check of the input pipeline.
    """
    decodes = "decoded" in mine
    order_difference = max(
        compute_difference(mine[f"pipeline_{part}"], mine[f"{'own' if decodes else 'head'}_{part}"]) for part in PARTS
    )
    checks = [
        *check_frozen_tensors(mine, task, "frozen"),
        make_check(
            "pipeline order", order_difference, pipeline, "head after the same steps through the input pipeline"
        ),
    ]
    return [*checks, *_check_decoding(mine, pipeline)] if decodes else checks


def _check_decoding(mine: Arrays, pipeline: float) -> list[Check]:
    """Check the images that the input pipeline decodes: decoders differ by a few grey levels, and it is said by how
    many.
    """
    levels = np.abs(mine["decoded"].astype(np.float64) - mine["given"])
    detail = f"grey levels of 255 on average, {levels.max():.0f} at most, of {len(levels)} images that it decodes"
    return [
        make_check(DECODING_CHECK, float(levels.mean()), DECODING, detail),
        make_check(
            "pipeline loss, decoded",
            compute_difference(mine["pipeline_loss"], mine["own_loss"]),
            pipeline,
            "mean loss through the pipeline, and of the same steps on the images that it decodes",
        ),
    ]


def check_frozen_tensors(evidence: Arrays, task: Task, name: str) -> list[Check]:
    """Check that frozen tensors are bit-identical, that trained ones moved, and that running statistics moved or did
    not move, as the task says.

    Args:
        name: the first part of the checks' names.
    """
    altered = [str(tensor) for tensor in evidence["altered_weights"]]
    weights = [tensor for tensor in altered if tensor not in task.trained]
    moved, total = len(evidence["altered_statistics"]), len(evidence["statistics"])
    checks = [make_check(name, len(weights), 0, f"altered: {weights[0]}" if weights else "weights bit-identical")]
    if unmoved := _find_unmoved_tensors(evidence, task, altered):
        checks.append(make_check(f"{name}, trained", len(unmoved), 0, f"did not move: {unmoved[0]}"))
    if task.batch_norm == "frozen":
        checks.append(make_check(f"{name}, statistics", moved, 0, f"{moved} of {total} running statistics moved"))
    else:
        still = total - moved
        checks.append(
            make_check(f"{name}, statistics", still, 0, f"{still} of {total} running statistics did not move")
        )
    return checks


def check_devices(evidence: Arrays, precision: str) -> list[Check]:
    """Check that several devices divide each batch among them, and train one head; no checks on one device.

    Without the division the head would be the same: each process would train on all images. Without an average of the
    gradients the processes would have several heads, and none would be the reference's.
    """
    if "first_shares" not in evidence:
        return []
    allowed = REDUCED_PRECISION.get(precision, DEVICE_SHARE)
    heads = evidence["head_kernels"]
    processes = f"{len(heads)} processes"
    checks = [
        make_check(
            name,
            compute_difference(evidence[f"{arrays}_shares"], evidence[f"{arrays}_shares_expected"]),
            allowed,
            f"loss of each of {processes}, {where}",
        )
        for name, arrays, where in (
            ("division of a batch", "first", "of its share"),
            ("division in the pipeline", "pipeline", "through the input pipeline"),
        )
    ]
    return [
        *checks,
        make_check(
            "one head", compute_difference(heads, heads[:1].repeat(len(heads), 0)), DEVICE_HEADS, f"of {processes}"
        ),
    ]


def compare_with_reference(mine: Arrays, reference: Arrays, task: Task, precision: str) -> list[Check]:
    """Compare a case with the reference, from the network's inputs to the head after some steps.

    Args:
        precision: of the frozen forward; below fp32 the tolerances are larger.
    """
    rounding = compute_rounding(reference)
    trained, movement = TRAINED_BACKBONE, BACKBONE_MOVEMENT
    if task.update_rule == "adamw" and task.batch_norm == "batch_stats":
        trained, movement = ADAMW_TRAINED_BACKBONE, ADAMW_BACKBONE_MOVEMENT

    def relative(name: str, *arrays: str, tolerance: float, detail: str) -> Check:
        worst = max(compute_difference(mine.get(array), reference[array]) for array in arrays)
        if task.trained and name in AFTER_TRAINING:
            tolerance = trained
        if name not in WITHOUT_FORWARD:
            tolerance = get_forward_tolerance(precision, task.backbone, tolerance, rounding)
        return make_check(name, worst, tolerance, detail)

    first_step = FIRST_STEP if task.batch_norm == "frozen" else FIRST_STEP_BATCH_STATS
    below = (
        ("gradient", "first gradient below", BACKBONE_GRADIENT[task.batch_norm]),
        ("moved", "trajectory below", movement),
    )
    resized = task.image_size != DATASETS[task.dataset][0]
    checks = [
        make_check(
            "weights",
            float(mine["weights_hash"] != reference["weights_hash"]),
            0,
            "hash of the built backbone",
        ),
        make_check("order", float(mine["order_hash"] != reference["order_hash"]), 0, "hash of the order of images"),
        relative(
            "preprocessing",
            "inputs",
            tolerance=INPUTS_RESIZED if resized else INPUTS,
            detail="network inputs, resized" if resized else "network inputs",
        ),
        *(
            [
                relative(
                    "augmentation",
                    "augmented",
                    tolerance=INPUTS_RESIZED if resized or augmentation.changes_values(task) else INPUTS,
                    detail=f"network inputs of augmented images: {', '.join(augmentation.describe(task))}",
                )
            ]
            if augmentation.augments(task)
            else []
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
        _compare_movements(mine, reference)
        if _amplifies_rounding(task, precision) and "initial_kernel" in reference
        else relative(
            "trajectory",
            "head_kernel",
            "head_bias",
            tolerance=TRAJECTORY,
            detail=f"head after {len(mine['losses'])} steps",
        ),
    ]
    if "decoded" not in mine:  # its images differ from the reference's, see `_check_decoding`
        detail = "mean loss through the pipeline"
        checks.append(relative("pipeline loss", "pipeline_loss", tolerance=TRAJECTORY, detail=detail))
    for part, what, tolerance in below if task.trained else ():
        names = [f"{part}/{name}" for name in task.trained]
        worst = _compute_joint_difference([mine.get(name) for name in names], [reference[name] for name in names])
        allowed = max(tolerance, get_forward_tolerance(precision, task.backbone, 0.0))
        checks.append(make_check(what, worst, allowed, f"{len(names)} tensors of the backbone"))
    if task.batch_norm == "batch_stats":
        names = [name for name in reference if name.startswith("statistic/")]
        checks.append(
            relative("running statistics", *names, tolerance=TRAJECTORY, detail="means and unbiased variances")
        )
    if precision in REDUCED_PRECISION:
        other = np.mean(mine["logits"].argmax(axis=1) != reference["logits"].argmax(axis=1))
        checks.append(
            make_check(
                "top-1", other, REDUCED_PRECISION_TOP_1, f"share of {len(mine['logits'])} images with another class"
            )
        )
    return checks


def _amplifies_rounding(task: Task, precision: str) -> bool:
    """Whether a rounding may move a weight as far as a gradient does; see `ADAMW_REDUCED_PRECISION`."""
    return precision in REDUCED_PRECISION and task.update_rule == "adamw"


def _compare_movements(mine: Arrays, reference: Arrays) -> Check:
    """Compare how the head moved in some steps, as a whole."""
    heads = [[arrays[f"head_{part}"] - reference[f"initial_{part}"] for part in PARTS] for arrays in (mine, reference)]
    detail = f"head after {len(mine['losses'])} steps, relative to how far it moved"
    return make_check("trajectory", _compute_joint_difference(*heads), ADAMW_REDUCED_PRECISION, detail)


def compare_outcomes(mine: Arrays, reference: Arrays, task: Task, precision: str) -> list[Check]:
    """Compare test accuracy and predictions after the whole fine-tune.

    Two accuracies may differ by the binomial noise of two independent tests: the 95 % half-width of the difference of
    two proportions, sqrt(2 p (1 - p) / n) times the quantile, where p is their mean.
    """
    labels = mine["labels"]
    accuracy, reference_accuracy = (np.mean(run["predictions"] == labels) for run in (mine, reference))
    mean = (accuracy + reference_accuracy) / 2
    noise = NORMAL_QUANTILE_95 * np.sqrt(2 * mean * (1 - mean) / len(labels))
    checks = [
        make_check(
            "outcome",
            abs(accuracy - reference_accuracy),
            noise,
            f"test accuracy {accuracy:.4f} and {reference_accuracy:.4f}, binomial noise",
        )
    ]
    if task.batch_norm == "frozen" and not task.trained:
        differ = float(np.mean(mine["predictions"] != reference["predictions"]))
        allowed = REDUCED_PRECISION_PREDICTIONS if precision in REDUCED_PRECISION else PREDICTIONS
        if _amplifies_rounding(task, precision):
            allowed = ADAMW_REDUCED_PRECISION_PREDICTIONS
        checks.append(make_check("predictions", differ, allowed, f"share of {len(labels)} test images"))
    return checks


def compute_difference(mine: np.ndarray | None, reference: np.ndarray) -> float:
    """Compute the largest absolute difference over the largest absolute reference value. It is infinite if `mine` is
    missing, has another shape, or is not finite.
    """
    if mine is None or mine.shape != reference.shape or not np.isfinite(mine).all():
        return float("inf")
    return float(np.abs(mine - reference).max() / max(np.abs(reference).max(), 1e-30))


def _compute_joint_difference(mine: Sequence[np.ndarray | None], reference: Sequence[np.ndarray]) -> float:
    """Compute the Euclidean distance between two lists of arrays, over the norm of the second. It is infinite if an
    array is missing, has another shape, or is not finite.

    It is not the largest difference of single tensors, because the gradient of some is nothing but rounding, for
    example that of a normalisation's shift before another normalisation.
    """
    if any(a is None or a.shape != b.shape or not np.isfinite(a).all() for a, b in zip(mine, reference, strict=True)):
        return float("inf")
    squared_distance = sum(
        float(np.square(a - b, dtype=np.float64).sum()) for a, b in zip(mine, reference, strict=True)
    )
    squared_norm = sum(float(np.square(b, dtype=np.float64).sum()) for b in reference)
    return (squared_distance / max(squared_norm, 1e-30)) ** 0.5


def _find_unmoved_tensors(evidence: Arrays, task: Task, altered: Sequence[str]) -> list[str]:
    """Find the trained tensors that did not change although they have a gradient. A whole fine-tune records no
    gradients: the list is empty.
    """
    sizes = {
        name: float(np.abs(evidence[f"gradient/{name}"]).max())
        for name in task.trained
        if f"gradient/{name}" in evidence
    }
    least = BACKBONE_GRADIENT[task.batch_norm] * max(sizes.values(), default=0)
    return [name for name, size in sizes.items() if size > least and name not in altered]


def make_check(name: str, difference: float, tolerance: float, detail: str) -> Check:
    """Make a check, which is passed if the difference is at most the tolerance."""
    return Check(
        name=name,
        difference=float(difference),
        tolerance=float(tolerance),
        passed=bool(difference <= tolerance),
        detail=detail,
    )
