"""The machine's load while rounds run, from counters that are read before and after them, never during them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from bench.machine import environment, gpu
from bench.records.record import Conditions

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Counters:
    """The machine's counters at one moment.

    Attributes:
        time: in seconds, by the clock that measures rounds.
        busy, total, steal: CPU time of the machine, in seconds.
        ours: CPU time of this process and its descendants, in seconds.
        throttled, thermal: numbers of throttled periods and of thermal events; None if the system does not report them.
        swapped: bytes.
    """

    time: float
    busy: float
    total: float
    steal: float
    ours: float
    throttled: int | None
    thermal: int | None
    swapped: int


def read_counters() -> Counters:
    """Read the counters."""
    times = psutil.cpu_times()
    # Linux counts guests' time in `user`, too.
    parts = {name: value for name, value in times._asdict().items() if not name.startswith("guest")}
    idle = parts["idle"] + parts.get("iowait", 0.0)
    steal = parts.get("steal", 0.0)
    total = sum(parts.values())
    swap = psutil.swap_memory()
    return Counters(
        time=time.perf_counter(),
        busy=total - idle - steal,
        total=total,
        steal=steal,
        ours=_sum_cpu_seconds(),
        throttled=environment.count_throttled_periods(),
        thermal=environment.count_thermal_events(),
        swapped=swap.sin + swap.sout,
    )


def summarise_conditions(
    pairs: Sequence[tuple[Counters, Counters]], device: gpu.GpuState | None, workers: int
) -> Conditions:
    """Summarise the machine's load between the counters of each pair, over all pairs, and its present state.

    Args:
        pairs: counters before and after.
        device: the GPU's state while the last round ran.
        workers: number of workers that use the GPU.
    """

    def sum_over(name: str) -> float:
        return sum(getattr(after, name) - getattr(before, name) for before, after in pairs)

    def count(name: str) -> int | None:
        unknown = any(getattr(counters, name) is None for pair in pairs for counters in pair)
        return None if unknown else int(sum_over(name))

    total = sum_over("total")
    available = psutil.virtual_memory()
    limit = environment.read_memory_limit() or available.total
    used = environment.read_memory_used()
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return Conditions(
        seconds=sum_over("time"),
        other_cpu=max(0.0, sum_over("busy") - sum_over("ours")) / total if total > 0 else None,
        steal=sum_over("steal") / total if total > 0 else None,
        cgroup_throttled=count("throttled"),
        thermal_throttled=count("thermal"),
        swapped=int(sum_over("swapped")),
        frequency=frequency.current if frequency and frequency.current else None,
        memory_available=min(available.available, limit - used) if used is not None else available.available,
        memory_limit=min(limit, available.total),
        battery=bool(battery and battery.power_plugged is False),
        governor=environment.read_governor(),
        usable_cores=environment.count_usable_cores(),
        cores=psutil.cpu_count(),
        quota=environment.read_cpu_quota(),
        limits=_read_limits(),
        gpu_processes=max(0, device.processes - workers) if device else None,
        gpu_clock=device.clock if device else None,
        gpu_clock_most=device.clock_most if device else None,
        gpu_slowed=device.slowed if device else (),
    )


def _sum_cpu_seconds() -> float:
    """Sum the CPU time of this process and its descendants (workers and input pipelines), including ended ones."""
    mine = psutil.Process()
    seconds = 0.0
    for process in (mine, *mine.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def _read_limits() -> dict[str, int]:
    """The limits that can stop a worker or slow it down, if they are set: seconds of CPU, bytes of address space."""
    if resource is None:
        return {}
    limits = {"RLIMIT_CPU": resource.RLIMIT_CPU, "RLIMIT_AS": resource.RLIMIT_AS}
    soft = {name: resource.getrlimit(limit)[0] for name, limit in limits.items()}
    return {name: value for name, value in soft.items() if value != resource.RLIM_INFINITY}
