"""What else the machine did while rounds ran: looked at before and after them, never in between."""

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
class Look:
    """Counters of the machine at one moment. Times in seconds of CPU, sizes in bytes."""

    time: float
    busy: float
    total: float
    steal: float
    ours: float
    throttled: int | None
    thermal: int | None
    swapped: int


def look() -> Look:
    """The counters now."""
    times = psutil.cpu_times()
    # Linux counts guests' time in `user`, too.
    parts = {name: value for name, value in times._asdict().items() if not name.startswith("guest")}
    idle = parts["idle"] + parts.get("iowait", 0.0)
    steal = parts.get("steal", 0.0)
    total = sum(parts.values())
    swap = psutil.swap_memory()
    return Look(
        time=time.perf_counter(),
        busy=total - idle - steal,
        total=total,
        steal=steal,
        ours=_cpu_seconds(),
        throttled=environment.throttled_periods(),
        thermal=environment.thermal_events(),
        swapped=swap.sin + swap.sout,
    )


def between(looks: Sequence[tuple[Look, Look]], device: gpu.State | None, workers: int) -> Conditions:
    """What went on between the two looks of each pair, all of them together, and how the machine is now.

    Args:
        looks: before and after.
        device: the GPU's state while the last round ran.
        workers: how many of them hold the GPU.
    """

    def over(name: str) -> float:
        return sum(getattr(after, name) - getattr(before, name) for before, after in looks)

    def counted(name: str) -> int | None:
        unknown = any(getattr(one, name) is None for pair in looks for one in pair)
        return None if unknown else int(over(name))

    total = over("total")
    available = psutil.virtual_memory()
    limit = environment.memory_limit() or available.total
    used = environment.memory_used()
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return Conditions(
        seconds=over("time"),
        other_cpu=max(0.0, over("busy") - over("ours")) / total if total > 0 else None,
        steal=over("steal") / total if total > 0 else None,
        cgroup_throttled=counted("throttled"),
        thermal_throttled=counted("thermal"),
        swapped=int(over("swapped")),
        frequency=frequency.current if frequency and frequency.current else None,
        memory_available=min(available.available, limit - used) if used is not None else available.available,
        memory_limit=min(limit, available.total),
        battery=bool(battery and battery.power_plugged is False),
        governor=environment.governor(),
        usable_cores=environment.usable_cores(),
        cores=psutil.cpu_count(),
        quota=environment.quota(),
        limits=_limits(),
        gpu_processes=max(0, device.processes - workers) if device else None,
        gpu_clock=device.clock if device else None,
        gpu_clock_most=device.clock_most if device else None,
        gpu_slowed=device.slowed if device else (),
    )


def _cpu_seconds() -> float:
    """CPU time of this process and of all under it, workers and their input pipelines, ended ones included."""
    mine = psutil.Process()
    seconds = 0.0
    for process in (mine, *mine.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def _limits() -> dict[str, int]:
    """The limits that can stop or starve a worker, where they are set: seconds of CPU, bytes of address space."""
    if resource is None:
        return {}
    limits = {"RLIMIT_CPU": resource.RLIMIT_CPU, "RLIMIT_AS": resource.RLIMIT_AS}
    soft = {name: resource.getrlimit(limit)[0] for name, limit in limits.items()}
    return {name: value for name, value in soft.items() if value != resource.RLIM_INFINITY}
