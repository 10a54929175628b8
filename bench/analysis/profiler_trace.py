"""The events of a profiler: summed up by operation, or as a trace that Perfetto and Chrome open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backends.values import Event


@dataclass(frozen=True)
class Operation:
    """All events of one name, either on accelerators or on the host.

    Attributes:
        total_us: microseconds of all calls, including the operations that they called.
        own_us: the same without the operations that they called.
    """

    name: str
    on_device: bool
    calls: int
    total_us: float
    own_us: float


def sum_up_operations(events: Iterable[Event]) -> list[Operation]:
    """Sum up events by operation; the one with the most own time comes first."""
    calls: dict[tuple[str, bool], list[tuple[float, float]]] = defaultdict(list)
    by_place: dict[tuple[str, bool], list[Event]] = defaultdict(list)
    for event in events:
        by_place[event.place, event.on_device].append(event)
    for of_place in by_place.values():
        for event, own in _own_times(of_place):
            calls[event.name, event.on_device].append((event.duration_us, own))
    summed = [
        Operation(name, on_device, len(times), sum(total for total, _ in times), sum(own for _, own in times))
        for (name, on_device), times in calls.items()
    ]
    return sorted(summed, key=lambda operation: -operation.own_us)


def _own_times(events: Sequence[Event]) -> list[tuple[Event, float]]:
    """Pair each event of one place with its own microseconds, those that no event within it takes."""
    entries: list[list[Any]] = []
    around: list[list[Any]] = []
    for event in sorted(events, key=lambda event: (event.start_us, -event.duration_us)):
        while around and around[-1][0].start_us + around[-1][0].duration_us <= event.start_us:
            around.pop()
        if around:
            end = around[-1][0].start_us + around[-1][0].duration_us
            around[-1][1] -= min(event.duration_us, end - event.start_us)
        entry = [event, event.duration_us]
        entries.append(entry)
        around.append(entry)
    return [(event, max(0.0, own)) for event, own in entries]


def to_chrome_trace(events: Sequence[Event]) -> dict[str, Any]:
    """Convert events to Chrome's trace event format: complete events, in microseconds since the first one.

    The host is process 1, the accelerators are process 2, and each place is a thread.
    """
    first = min((event.start_us for event in events), default=0.0)
    threads: dict[tuple[int, str], int] = {}
    converted = []
    for event in events:
        process = 2 if event.on_device else 1
        thread = threads.setdefault((process, event.place), len(threads) + 1)
        converted.append(
            {
                "ph": "X",
                "name": event.name,
                "cat": "device" if event.on_device else "host",
                "pid": process,
                "tid": thread,
                "ts": event.start_us - first,
                "dur": event.duration_us,
            }
        )
    return {"displayTimeUnit": "ms", "traceEvents": [*_name_events(threads), *converted]}


def _name_events(threads: Mapping[tuple[int, str], int]) -> list[dict[str, Any]]:
    """Make the metadata events with the names of processes and threads."""
    processes = {process: "accelerators" if process == 2 else "host" for process, _ in threads}
    return [
        *(_name_event("process_name", process, 0, name) for process, name in processes.items()),
        *(_name_event("thread_name", process, thread, place) for (process, place), thread in threads.items()),
    ]


def _name_event(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": name}}
