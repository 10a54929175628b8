"""The machine's load while rounds run, from counters that are read before and after them, never during them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from bench.machine import environment, gpu
from bench.machine.system_reading import try_read
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
        throttled, thermal: numbers of throttled periods and of thermal events.
        swapped: bytes.

    All but `time` are None if the system does not report them.
    """

    time: float
    busy: float | None
    total: float | None
    steal: float | None
    ours: float | None
    throttled: int | None
    thermal: int | None
    swapped: int | None


def read_counters() -> Counters:
    """Read the counters."""
    busy, total, steal = try_read(_read_cpu_times) or (None, None, None)
    return Counters(
        time=time.perf_counter(),
        busy=busy,
        total=total,
        steal=steal,
        ours=try_read(_sum_cpu_seconds),
        throttled=environment.count_throttled_periods(),
        thermal=environment.count_thermal_events(),
        swapped=try_read(_read_swapped_bytes),
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

    def sum_over(name: str) -> float | None:
        unknown = any(getattr(counters, name) is None for pair in pairs for counters in pair)
        return None if unknown else sum(getattr(after, name) - getattr(before, name) for before, after in pairs)

    def count(name: str) -> int | None:
        difference = sum_over(name)
        return None if difference is None else int(difference)

    def share(seconds: float | None) -> float | None:
        total = sum_over("total")
        return None if seconds is None or not total or total < 0 else seconds / total

    busy, ours = sum_over("busy"), sum_over("ours")
    available, limit = read_memory()
    frequency = try_read(lambda: psutil.cpu_freq())
    battery = try_read(lambda: psutil.sensors_battery())
    return Conditions(
        seconds=sum_over("time") or 0.0,
        other_cpu=share(None if busy is None or ours is None else max(0.0, busy - ours)),
        steal=share(sum_over("steal")),
        cgroup_throttled=count("throttled"),
        thermal_throttled=count("thermal"),
        swapped=count("swapped"),
        frequency=frequency.current if frequency and frequency.current else None,
        memory_available=available,
        memory_limit=limit,
        battery=bool(battery and battery.power_plugged is False),
        governor=environment.read_governor(),
        usable_cores=environment.count_usable_cores(),
        cores=try_read(psutil.cpu_count),
        quota=environment.read_cpu_quota(),
        limits=_read_limits(),
        gpu_processes=max(0, device.processes - workers) if device else None,
        gpu_clock=device.clock if device else None,
        gpu_clock_most=device.clock_most if device else None,
        gpu_slowed=device.slowed if device else (),
    )


def _read_cpu_times() -> tuple[float, float, float]:
    """The CPU time of the machine in seconds: without idling and without `steal`, all, and `steal`."""
    # Linux counts guests' time in `user`, too.
    times = psutil.cpu_times()._asdict().items()
    parts = {name: value for name, value in times if not name.startswith("guest")}
    idle = parts["idle"] + parts.get("iowait", 0.0)
    steal = parts.get("steal", 0.0)
    total = sum(parts.values())
    return total - idle - steal, total, steal


def _read_swapped_bytes() -> int:
    swap = psutil.swap_memory()
    return swap.sin + swap.sout


def read_memory() -> tuple[int | None, int | None]:
    """The memory that is available, and all that this process may use, in bytes; None if it is not known."""
    machine = try_read(psutil.virtual_memory)
    group_limit, used = environment.read_memory_limit(), environment.read_memory_used()
    limits = [limit for limit in (group_limit, machine.total if machine else None) if limit]
    limit = min(limits, default=None)
    left = [machine.available] if machine else []
    if used is not None and (group_limit or limit):
        left.append((group_limit or limit or 0) - used)
    return min(left, default=None), limit


def _sum_cpu_seconds() -> float:
    """Sum the CPU time of this process and its descendants (workers and input pipelines), including ended ones."""
    mine = psutil.Process()
    seconds = 0.0
    for process in (mine, *mine.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.Error:
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
