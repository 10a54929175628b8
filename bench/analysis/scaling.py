"""Scaling: how the throughput of a case grows with the number of devices that train it together.

Strong scaling keeps the global batch, so that each device has a smaller share of it; weak scaling keeps the batch of
each device, so that the global batch grows (Hager & Wellein 2010, "Introduction to High Performance Computing for
Scientists and Engineers", section 5.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.analysis.launches import CaseLaunches, Kind, group_by_task
from bench.analysis.mean_estimate import compare_unpaired
from bench.analysis.statistics import Interval, mean, scale
from bench.plan.variants import get_name_on_one_device
from bench.records.record import Record

Mode = Literal["strong", "weak"]
MODES: tuple[Mode, ...] = ("strong", "weak")
#: Communication is measured in rounds without an input pipeline, which would hide a part of it.
COMMUNICATION_KIND: Kind = "compute"


@dataclass(frozen=True)
class ScalingPoint:
    """A case on a number of devices, compared with the same on one.

    Attributes:
        devices: their number.
        speedup: its throughput over that on one device; None where they may not be compared.
        ideal: the speedup that the hardware allows: how many times as much of it is used as on one device. N GPUs are
            N times one. N processes on the CPUs that one process used alone are no more hardware: 1, or less if its
            threads cannot be divided by N.
        communication: seconds of a step that the exchange costs: with it, less without it; None where that was not
            measured. It is all that the exchange adds: the transfer, the framework's work for it, and the wait for the
            slowest process in each step.
        step_s: seconds of the same steps.
    """

    case: CaseLaunches
    devices: int
    speedup: Interval | None
    ideal: float
    communication: Interval | None = None
    step_s: float | None = None

    @property
    def efficiency(self) -> Interval | None:
        """The share of the ideal speedup that is reached."""
        return scale(self.speedup, 1 / self.ideal) if self.speedup else None

    @property
    def shares_hardware(self) -> bool:
        """Whether all devices together are the hardware that one device had alone, or a part of it."""
        return self.devices > 1 and self.ideal <= 1


@dataclass(frozen=True)
class Scaling:
    """How one variant of a backend scales. The first point is one device."""

    mode: Mode
    points: tuple[ScalingPoint, ...]

    @property
    def base(self) -> CaseLaunches:
        """The case on one device."""
        return self.points[0].case


def find_scalings(records: Sequence[Record], kind: Kind = "pipeline") -> list[Scaling]:
    """Find what was measured on one device and on several, and how it scales.

    Args:
        records: of one run.
        kind: of the rounds that throughput is taken from.
    """
    exchanging = [case for task in group_by_task(records) for case in task.cases if case.finished]
    alone: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        if record.variant.exchange == "none":
            alone.setdefault(_make_key(record), []).append(record)
    separate = {key: CaseLaunches(tuple(launches)) for key, launches in alone.items()}
    found = []
    for mode in MODES:
        for base in (case for case in exchanging if count_devices(case) == 1):
            others = [case for case in exchanging if count_devices(case) > 1 and _extends(case, base, mode)]
            if others:
                points = [ScalingPoint(base, 1, Interval(1.0, None, None), 1.0)]
                for case in sorted(others, key=count_devices):
                    points.append(_make_point(case, base, mode, kind, separate.get(_make_key(case.first))))
                found.append(Scaling(mode, tuple(points)))
    return found


def count_devices(case: CaseLaunches) -> int:
    """Count the devices of a case."""
    return case.first.variant.devices or 1


def measure_communication(
    case: CaseLaunches, separate: CaseLaunches, kind: Kind = COMMUNICATION_KIND
) -> Interval | None:
    """Measure the seconds of a step that the exchange costs, from the launches that both cases have.

    In each launch it is the median over the rounds of the step with the exchange less the step without it; rounds are
    paired, because paired rounds ran within the same seconds.

    Args:
        case: whose processes exchange gradients.
        separate: the same processes with the same shares of each batch, which do not.
    """
    with_exchange, without = case.seconds_per_image(kind), separate.seconds_per_image(kind)
    differences = []
    for launch in sorted(with_exchange.keys() & without.keys()):
        rounds = min(len(with_exchange[launch]), len(without[launch]))
        pairs = np.array([with_exchange[launch][:rounds], without[launch][:rounds]])
        differences.append(float(np.median(pairs[0] - pairs[1])) * case.first.task.batch_size)
    return mean(differences) if differences else None


def _make_point(
    case: CaseLaunches, base: CaseLaunches, mode: Mode, kind: Kind, separate: CaseLaunches | None
) -> ScalingPoint:
    rate = case.throughput(COMMUNICATION_KIND)
    return ScalingPoint(
        case,
        count_devices(case),
        _compute_speedup(case, base, mode, kind),
        _compute_ideal(case, base),
        measure_communication(case, separate) if separate else None,
        case.first.task.batch_size / rate.estimate if rate else None,
    )


def _compute_speedup(case: CaseLaunches, base: CaseLaunches, mode: Mode, kind: Kind) -> Interval | None:
    """The ratio of two throughputs: from launch pairs in strong scaling; in weak scaling the two are of different
    tasks, which are not measured side by side.
    """
    if mode == "strong":
        return None if case.why_not_comparable(base) else case.ratio_to(base, kind)
    rates = [_list_log_rates(one, kind) for one in (case, base) if one.why_not_comparable() is None]
    return compare_unpaired(*rates).interval if len(rates) == 2 and all(rates) else None


def _list_log_rates(case: CaseLaunches, kind: Kind) -> Sequence[float]:
    return [-float(np.log(np.median(seconds))) for seconds in case.seconds_per_image(kind).values()]


def _compute_ideal(case: CaseLaunches, base: CaseLaunches) -> float:
    """How many times as much hardware a case uses as its base: devices, or the threads of all processes on CPUs."""
    devices = count_devices(case)
    threads = [one.first.resolved.get("intra_op_threads") for one in (case, base)]
    if case.first.variant.device == "cpu" and all(isinstance(number, int) and number > 0 for number in threads):
        return devices * threads[0] / threads[1]  # type: ignore[operator]
    return float(devices)


def _extends(case: CaseLaunches, base: CaseLaunches, mode: Mode) -> bool:
    """Whether a case is its base on several devices, with the same batch, or with one for each device as large."""
    return _describe_share(case, mode) == _describe_share(base, mode)


def _describe_share(case: CaseLaunches, mode: Mode) -> tuple[object, ...]:
    """What a scaling keeps the same."""
    first = case.first
    devices = count_devices(case) if mode == "weak" else 1
    task = first.task.model_copy(update={"batch_size": 1})
    return (
        first.backend,
        get_name_on_one_device(first.variant),
        first.variant.device,
        first.task.batch_size / devices,
        task.hash,
    )


def _make_key(record: Record) -> tuple[str, ...]:
    """What a case with the exchange of gradients and the same without it have in common."""
    variant = record.variant
    return record.backend, get_name_on_one_device(variant), str(variant.devices), record.task_hash
