"""Warm-up on a clock that the test controls."""

from __future__ import annotations

import numpy as np
import pytest

from backends.values import Order
from bench.worker.warmup import (
    FIRST_STEPS,
    MAX_BLOCKS,
    WINDOW,
    is_still_faster,
    lengthen_order,
    take_few_batches,
    warm_up,
)


class Machine:
    """A machine whose steps take `cost(step)` seconds; time passes only in steps."""

    def __init__(self, cost) -> None:
        self.cost, self.now, self.steps = cost, 0.0, 0

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.now += self.cost(self.steps)
            self.steps += 1

    def warm_up(self):
        return warm_up(self.advance, lambda: self.now)


def test_a_steady_machine_is_warm_after_two_windows():
    machine = Machine(lambda step: 0.010)
    warm = machine.warm_up()
    assert warm.step_seconds == pytest.approx(0.010)
    assert warm.steps == machine.steps == 2 * FIRST_STEPS + 2 * WINDOW * 10
    assert not warm.capped


def test_the_warm_up_lasts_while_steps_get_faster():
    machine = Machine(lambda step: 0.010 + 0.010 * 0.98**step)
    warm = machine.warm_up()
    assert warm.step_seconds == pytest.approx(0.010, rel=0.1)
    assert not warm.capped


def test_the_start_of_a_pipeline_does_not_make_blocks_short():
    machine = Machine(lambda step: 2.0 if step == 0 else 0.010)
    assert machine.warm_up().steps == 2 * FIRST_STEPS + 2 * WINDOW * 10


def test_a_machine_that_never_settles_reaches_the_cap():
    machine = Machine(lambda step: 0.010 * 0.99**step)
    warm = machine.warm_up()
    assert warm.capped
    assert warm.steps == 2 * FIRST_STEPS + MAX_BLOCKS * 10


def test_steps_that_get_slower_do_not_lengthen_the_warm_up():
    assert not Machine(lambda step: 0.010 * 1.01**step).warm_up().capped


def test_a_step_longer_than_a_block_is_a_block():
    warm = Machine(lambda step: 3.0).warm_up()
    assert warm.steps == 2 * FIRST_STEPS + 2 * WINDOW
    assert warm.step_seconds == pytest.approx(3.0)


def test_the_test_for_faster_steps_is_one_sided():
    assert is_still_faster([1.0] * 5), "too few blocks to decide"
    assert not is_still_faster([1.0] * 6)
    assert not is_still_faster([1.0, 1.0, 1.0, 0.99, 0.99, 0.99]), "within two per cent"
    assert is_still_faster([1.0, 1.0, 1.0, 0.97, 0.97, 0.97])
    assert not is_still_faster([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])


def test_a_longer_order_goes_through_the_epochs_again_in_whole_batches_only():
    order = Order(np.stack([np.arange(11), np.arange(11)[::-1]]), 4, False)
    longer = lengthen_order(order, 9)
    assert (order.steps, longer.steps) == (6, 12)
    batches = list(longer.batches())
    assert {len(batch) for batch in batches} == {4}, "a partial batch would falsify a round's throughput"
    for first, again in zip(batches[:4], batches[4:8], strict=True):
        assert np.array_equal(first, again)
    assert lengthen_order(order, 4).steps == 4


def test_compute_rounds_get_whole_batches_only():
    few = take_few_batches(Order(np.arange(70)[None], 8, False))
    assert [len(batch) for batch in few.batches()] == [8] * 8
    assert [len(batch) for batch in take_few_batches(Order(np.arange(20)[None], 8, False)).batches()] == [8, 8]
    assert take_few_batches(Order(np.arange(20)[None], 8, True)).steps == 2
