"""PyTorch transforms images one by one in its input pipeline, and whole batches elsewhere."""

from __future__ import annotations

import pytest

CODE = """
import numpy as np, torch
from backends.pytorch import preprocess
from bench.plan.task_table import TASKS

task = TASKS["cifar10-lite0"].model_copy(update={{"image_size": {size}}})
images = np.random.default_rng(0).integers(256, size=(7, 32, 32, 3), dtype=np.uint8)
single = torch.stack([preprocess.make_transform(task)(image) for image in images])
for layout in ("nchw", "nhwc"):
    whole = preprocess.make_batch_transform(task, layout)(torch.from_numpy(images))
    print(tuple(whole.shape), whole.dtype, torch.equal(single, whole))
"""


@pytest.mark.parametrize("size", [32, 96])
def test_a_batch_is_transformed_as_its_images_are_bit_for_bit(in_fresh_interpreter, size: int) -> None:
    same = f"(7, 3, {size}, {size}) torch.float32 True"
    assert in_fresh_interpreter(CODE.format(size=size)).splitlines() == [same, same]
