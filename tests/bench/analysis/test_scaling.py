"""Scaling is computed from what was measured on one device and on several, and from nothing else."""

from __future__ import annotations

import math

import pytest

from backends.task import Variant
from bench.analysis.scaling import find_scalings
from bench.records.record import Record
from tests.bench.example_records import PROVEN, TASK, launches

LAUNCHES = 6


def on_devices(
    devices: int, step_ms: float, batch_size: int = 64, *, threads: int = 2, device: str = "cpu", exchange=None
) -> list[Record]:
    """Launches of PyTorch on a number of devices; a `compute` step takes 0.8 of `step_ms`."""
    name = "default" + (f"-x{devices}" if devices > 1 else "") + ("-no-exchange" if exchange else "")
    task = TASK.model_copy(update={"batch_size": batch_size})
    variant = Variant(name=name, device=device, devices=devices if devices > 1 else None, exchange=exchange)
    made = launches("pytorch", LAUNCHES, step_ms=step_ms, task=task, variant=name, noise=1e-4, proof=PROVEN)
    own = {"variant": variant, "resolved": {"intra_op_threads": threads}}
    return [record.model_copy(update=own) for record in made]


def test_two_gpus_at_the_same_batch_are_compared_with_twice_the_speed_of_one():
    (strong,) = find_scalings(on_devices(1, 10.0, device="cuda") + on_devices(2, 6.25, device="cuda"))
    assert strong.mode == "strong"
    assert [point.devices for point in strong.points] == [1, 2]
    assert strong.points[1].ideal == 2
    assert strong.points[1].speedup.estimate == pytest.approx(1.6, rel=1e-3)
    assert strong.points[1].efficiency.estimate == pytest.approx(0.8, rel=1e-3)
    assert strong.points[1].efficiency.low < 0.8 < strong.points[1].efficiency.high


def test_two_processes_on_the_cores_of_one_can_win_nothing():
    (strong,) = find_scalings(on_devices(1, 10.0, threads=2) + on_devices(2, 12.5, threads=1))
    assert strong.points[1].shares_hardware
    assert strong.points[1].efficiency.estimate == pytest.approx(0.8, rel=1e-3)


def test_threads_that_cannot_be_divided_leave_less_hardware():
    (strong,) = find_scalings(on_devices(1, 10.0, threads=3) + on_devices(2, 15.0, threads=1))
    assert strong.points[1].ideal == pytest.approx(2 / 3)
    assert strong.points[1].shares_hardware
    assert strong.points[1].efficiency.estimate == pytest.approx(1.0, rel=1e-3)


def test_two_processes_with_the_threads_of_one_each_use_twice_the_cores():
    (strong,) = find_scalings(on_devices(1, 10.0, threads=1) + on_devices(2, 6.25, threads=1))
    assert strong.points[1].ideal == 2
    assert not strong.points[1].shares_hardware


def test_weak_scaling_compares_images_per_second_of_batches_that_grow_with_the_devices():
    records = on_devices(1, 10.0, device="cuda") + on_devices(2, 12.5, batch_size=128, device="cuda")
    (weak,) = find_scalings(records)
    assert weak.mode == "weak"
    assert weak.points[1].speedup.estimate == pytest.approx(1.6, rel=1e-3)
    assert weak.points[1].efficiency.estimate == pytest.approx(0.8, rel=1e-3)


def test_a_batch_that_grows_less_than_the_devices_is_neither():
    assert find_scalings(on_devices(1, 10.0) + on_devices(4, 10.0, batch_size=128)) == []


def test_communication_is_the_step_less_the_step_without_exchange():
    records = [
        *on_devices(1, 10.0),
        *on_devices(2, 8.0, threads=1),
        *on_devices(2, 6.0, threads=1, exchange="none"),
    ]
    (strong,) = find_scalings(records)
    point = strong.points[1]
    assert point.communication.estimate == pytest.approx(0.8 * (0.008 - 0.006), rel=0.02)
    assert point.step_s == pytest.approx(0.8 * 0.008, rel=0.01)
    assert point.communication.low < point.communication.estimate < point.communication.high


def test_without_the_case_that_exchanges_nothing_communication_is_not_known():
    (strong,) = find_scalings(on_devices(1, 10.0) + on_devices(2, 8.0, threads=1))
    assert strong.points[1].communication is None


def test_two_launches_have_no_interval():
    records = [record for record in on_devices(1, 10.0) + on_devices(2, 8.0, threads=1) if record.launch < 2]
    (strong,) = find_scalings(records)
    assert strong.points[1].speedup.low is None
    assert math.isinf(strong.points[1].speedup.half_width)


def test_a_case_whose_proof_failed_has_no_speedup():
    failed = PROVEN.model_copy(update={"status": "failed", "reason": "one head: differs"})
    broken = [record.model_copy(update={"proof": failed}) for record in on_devices(2, 8.0, threads=1)]
    (strong,) = find_scalings(on_devices(1, 10.0) + broken)
    assert strong.points[1].speedup is None
    assert strong.points[1].efficiency is None
