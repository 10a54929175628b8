"""Warm-up and calibration: train until steps no longer get faster, and measure how long a step takes then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

import numpy as np

from backends.values import Order

#: Steps before the clock runs, and again steps from whose time the length of a block is computed.
FIRST_STEPS = 2
#: Approximate seconds of a block of steps: so long that the clock's resolution and one slow step do not matter.
BLOCK_SECONDS = 0.1
#: Blocks in a window; a window is compared with the one before it.
WINDOW = 3
#: Steps still get faster if the last window took less than this share of the one before.
FASTER_SHARE = 0.98
#: The cap of a warm-up in blocks, and in steps: the latter for an input pipeline, which is faster than any training.
MAX_BLOCKS = 30
MAX_STEPS = 20_000


class Warmup(NamedTuple):
    """Steps of the warm-up, seconds per step at its end, and whether the cap ended it."""

    steps: int
    step_seconds: float
    capped: bool


def is_still_faster(blocks: Sequence[float]) -> bool:
    """One-sided: whether the mean of the last `WINDOW` block times is below `FASTER` of the window before."""
    if len(blocks) < 2 * WINDOW:
        return True
    return fmean(blocks[-WINDOW:]) < FASTER_SHARE * fmean(blocks[-2 * WINDOW : -WINDOW])


def warm_up(
    advance: Callable[[int], object],
    clock: Callable[[], float] = time.perf_counter,
    max_steps: int = MAX_STEPS,
    report: Callable[[int], object] = lambda blocks: None,
) -> Warmup:
    """Train in blocks until steps no longer get faster, or until the cap: of blocks, or of `max_steps` steps.

    Args:
        report: called before each block with the number of blocks that are done.
    """
    advance(FIRST_STEPS)  # contains the pipeline's start and compilation, which would make the blocks too short
    report(0)
    began = clock()
    advance(FIRST_STEPS)
    per_block = max(1, round(FIRST_STEPS * BLOCK_SECONDS / max(clock() - began, 1e-9)))
    per_block = min(per_block, (max_steps - 2 * FIRST_STEPS) // (2 * WINDOW))
    max_blocks = min(MAX_BLOCKS, (max_steps - 2 * FIRST_STEPS) // per_block)
    blocks: list[float] = []
    while len(blocks) < max_blocks and is_still_faster(blocks):
        report(len(blocks))
        began = clock()
        advance(per_block)
        blocks.append((clock() - began) / per_block)
    capped = len(blocks) == max_blocks and is_still_faster(blocks)
    return Warmup(2 * FIRST_STEPS + per_block * len(blocks), fmean(blocks[-WINDOW:]), capped)


def lengthen_order(order: Order, steps: int) -> Order:
    """Repeat the order until it has at least `steps` steps, all of them whole batches.

    With a partial batch, a round would have fewer images than its throughput is computed from.
    """
    whole = replace(order, drop_last=True)
    times = -(-steps // whole.steps)
    return replace(whole, permutations=np.tile(whole.permutations, (times, 1)))


def take_few_batches(order: Order, batches: int = 8) -> Order:
    """Take the first few whole batches of the order: `compute` rounds train on them repeatedly."""
    whole = max(1, min(batches, order.permutations.shape[1] // order.batch_size))
    return replace(order, permutations=order.permutations[:1, : whole * order.batch_size])
