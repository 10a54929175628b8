"""Warm-up and calibration: how many steps until a step no longer gets faster, and how long one takes then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from backends.values import Order

#: Steps before the clock runs, and steps that tell how many fill a block.
FIRST_STEPS = 2
#: A block of steps lasts about this many seconds, so that the clock and one odd step do not decide.
BLOCK_SECONDS = 0.1
#: Blocks that are compared with as many before them.
WINDOW = 3
#: Still getting faster: the last window took less than this share of the one before.
FASTER = 0.98
#: The cap, in blocks, and in steps, for the length of an input pipeline that is quicker than any training.
MOST_BLOCKS = 30
MOST_STEPS = 20_000


class Warmup(NamedTuple):
    """Steps it took, seconds a step takes now, and whether the cap ended it."""

    steps: int
    step_seconds: float
    capped: bool


def still_faster(blocks: Sequence[float]) -> bool:
    """One-sided: whether the mean of the last `WINDOW` block times is below `FASTER` of the window before."""
    if len(blocks) < 2 * WINDOW:
        return True
    return fmean(blocks[-WINDOW:]) < FASTER * fmean(blocks[-2 * WINDOW : -WINDOW])


def warm_up(
    advance: Callable[[int], object],
    clock: Callable[[], float] = time.perf_counter,
    most_steps: int = MOST_STEPS,
) -> Warmup:
    """Advance in blocks until steps no longer get faster, or the cap: of blocks, or of `most_steps` steps."""
    advance(FIRST_STEPS)  # with the start of an input pipeline, and what is compiled: it would make blocks too short
    began = clock()
    advance(FIRST_STEPS)
    per_block = max(1, round(FIRST_STEPS * BLOCK_SECONDS / max(clock() - began, 1e-9)))
    per_block = min(per_block, (most_steps - 2 * FIRST_STEPS) // (2 * WINDOW))
    most_blocks = min(MOST_BLOCKS, (most_steps - 2 * FIRST_STEPS) // per_block)
    blocks: list[float] = []
    while len(blocks) < most_blocks and still_faster(blocks):
        began = clock()
        advance(per_block)
        blocks.append((clock() - began) / per_block)
    capped = len(blocks) == most_blocks and still_faster(blocks)
    return Warmup(2 * FIRST_STEPS + per_block * len(blocks), fmean(blocks[-WINDOW:]), capped)


def lengthened(order: Order, steps: int) -> Order:
    """The order, repeated until it has `steps` steps or more, all of them whole batches.

    A partial one among the steps of a round would make its images fewer than its throughput is reckoned from.
    """
    whole = Order(order.permutations, order.batch_size, drop_last=True)
    times = -(-steps // whole.steps)
    return Order(np.tile(whole.permutations, (times, 1)), whole.batch_size, drop_last=True)


def few_batches(order: Order, batches: int = 8) -> Order:
    """The first few whole batches of the order: what `compute` rounds train on, again and again."""
    whole = max(1, min(batches, order.permutations.shape[1] // order.batch_size))
    return Order(order.permutations[:1, : whole * order.batch_size], order.batch_size, order.drop_last)
