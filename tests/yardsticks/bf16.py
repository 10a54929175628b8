"""What bf16 costs in test accuracy: the same fine-tunes in both precisions, over some seeds, on real images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from backends.task import Task
from bench import data
from bench.analysis.statistics import mean
from bench.data.dataset import Dataset
from bench.data.subset import limit_test_images, limit_training_images
from bench.measure.case_job import write_images
from bench.plan import variants
from bench.plan.request import CACHE_LIMIT
from bench.plan.task_table import TASKS
from tests.yardsticks import case, measuring_phase
from tests.yardsticks.extent import Extent
from tests.yardsticks.target import Target

TASK = TASKS["cifar10-lite0"]
SEEDS = range(5)
POINTS = 0.5
#: Images of a quick look.
FEW = 64


def targets(extent: Extent) -> Iterator[Target]:
    """The difference of the accuracies, seed by seed, in points."""
    if extent.data_dir is None:
        extent.say("bf16: skipped: accuracies say something of real images only: use --data-dir")
        return
    dataset = data.load(TASK.dataset, extent.data_dir)
    if extent.quick:
        dataset = limit_test_images(limit_training_images(dataset, FEW, 0), FEW, 0)
    images = write_images(dataset, extent.folder("images"))
    for backend in extent.backends:
        variant = case.variant(features="cached", precision="bf16")
        if reason := variants.explain_unsupported(backend, variant, TASK):
            extent.say(f"bf16: {backend} is left out: {reason}")
            continue
        exact, rounded = (
            accuracies(backend, images, dataset, TASK, knobs, extent) for knobs in ({}, {"precision": "bf16"})
        )
        found = mean([100 * (r - e) for r, e in zip(rounded, exact, strict=True)])
        note = f"{mean(exact).estimate:.2%} in fp32, {mean(rounded).estimate:.2%} in bf16, {len(SEEDS)} seeds"
        yield Target(f"{backend}: accuracy in bf16, points above fp32", found, -POINTS, POINTS, "+.2f", note)


def accuracies(
    backend: str, images: Path, dataset: Dataset, task: Task, knobs: dict[str, str], extent: Extent
) -> list[float]:
    """The test accuracy of each seed, in one worker."""
    job = case.job(
        backend,
        images,
        0,
        task,
        case.variant(features="cached", **knobs),
        features=images.parent / f"{backend}-{knobs.get('precision', 'fp32')}.safetensors",
        cache_limit=CACHE_LIMIT,
        seeds=tuple(SEEDS),
        kinds=(),
    )
    (outcome,) = measuring_phase.launch([job], measuring_phase.Silent()).outcomes
    found = [outcome.messages[f"fine-tuned {seed}"]["correct"] / len(dataset.test_labels) for seed in SEEDS]
    extent.say(f"{backend} {job.variant.name}: {', '.join(f'{share:.2%}' for share in found)}")
    return found
