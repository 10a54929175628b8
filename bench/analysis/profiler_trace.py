"""What a profiler saw: the operations that took the time, and a trace that Perfetto and Chrome open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backends.values import Event


@dataclass(frozen=True)
class Operation:
    """All events of one name on accelerators, or on the host.

    Attributes:
        total_us: microseconds of all calls, with what they called.
        own_us: without it.
    """

    name: str
    on_device: bool
    calls: int
    total_us: float
    own_us: float


def operations(events: Iterable[Event]) -> list[Operation]:
    """The operations, those first that took most time of their own."""
    calls: dict[tuple[str, bool], list[tuple[float, float]]] = defaultdict(list)
    by_place: dict[tuple[str, bool], list[Event]] = defaultdict(list)
    for event in events:
        by_place[event.place, event.on_device].append(event)
    for of_place in by_place.values():
        for event, own in _own(of_place):
            calls[event.name, event.on_device].append((event.duration_us, own))
    found = [
        Operation(name, on_device, len(spent), sum(total for total, _ in spent), sum(own for _, own in spent))
        for (name, on_device), spent in calls.items()
    ]
    return sorted(found, key=lambda one: -one.own_us)


def _own(events: Sequence[Event]) -> list[tuple[Event, float]]:
    """The events of one place with the microseconds that no event within them takes."""
    found: list[list[Any]] = []
    around: list[list[Any]] = []
    for event in sorted(events, key=lambda event: (event.start_us, -event.duration_us)):
        while around and around[-1][0].start_us + around[-1][0].duration_us <= event.start_us:
            around.pop()
        if around:
            end = around[-1][0].start_us + around[-1][0].duration_us
            around[-1][1] -= min(event.duration_us, end - event.start_us)
        entry = [event, event.duration_us]
        found.append(entry)
        around.append(entry)
    return [(event, max(0.0, own)) for event, own in found]


def chrome(events: Sequence[Event]) -> dict[str, Any]:
    """Chrome's trace event format: complete events, times in microseconds from the first one on.

    The host is process 1 and accelerators are process 2; each place is a thread.
    """
    first = min((event.start_us for event in events), default=0.0)
    threads: dict[tuple[int, str], int] = {}
    made = []
    for event in events:
        process = 2 if event.on_device else 1
        thread = threads.setdefault((process, event.place), len(threads) + 1)
        made.append(
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
    return {"displayTimeUnit": "ms", "traceEvents": [*_names(threads), *made]}


def _names(threads: Mapping[tuple[int, str], int]) -> list[dict[str, Any]]:
    """What processes and threads are called."""
    processes = {process: "accelerators" if process == 2 else "host" for process, _ in threads}
    return [
        *(_named("process_name", process, 0, name) for process, name in processes.items()),
        *(_named("thread_name", process, thread, place) for (process, place), thread in threads.items()),
    ]


def _named(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": name}}
