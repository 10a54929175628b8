"""Events of a profiler: own times, and Chrome's trace format."""

from __future__ import annotations

import json

import pytest

from backends.values import Event
from bench.analysis.profiler_trace import sum_up_operations, to_chrome_trace

#: Two threads and a device; `inner` runs twice within `outer`, and once outside it.
EVENTS = [
    Event("outer", "thread 1", False, 1000.0, 10.0),
    Event("inner", "thread 1", False, 1001.0, 3.0),
    Event("innermost", "thread 1", False, 1002.0, 1.0),
    Event("inner", "thread 1", False, 1004.0, 4.0),
    Event("inner", "thread 2", False, 1001.0, 5.0),
    Event("kernel", "device 0, stream 7", True, 1003.0, 2.0),
]


def test_own_time_is_without_what_is_called():
    found = {one.name: one for one in sum_up_operations(reversed(EVENTS))}
    assert [one.name for one in sum_up_operations(EVENTS)] == ["inner", "outer", "kernel", "innermost"]
    assert (found["inner"].calls, found["inner"].total_us, found["inner"].own_us) == (3, 12.0, 11.0)
    assert (found["outer"].total_us, found["outer"].own_us) == (10.0, 3.0)
    assert found["kernel"].on_device


def test_events_that_overlap_take_no_time_twice():
    found = {one.name: one for one in sum_up_operations([EVENTS[0], Event("late", "thread 1", False, 1008.0, 6.0)])}
    assert found["outer"].own_us == 8.0
    assert found["late"].own_us == 6.0


def test_the_trace_is_chromes():
    trace = json.loads(json.dumps(to_chrome_trace(EVENTS)))
    named = {(e["pid"], e["tid"]): e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
    complete = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert [e["name"] for e in complete] == [event.name for event in EVENTS]
    assert [e["ts"] for e in complete] == [0.0, 1.0, 2.0, 4.0, 1.0, 3.0]
    assert [named[e["pid"], e["tid"]] for e in complete] == [event.place for event in EVENTS]
    assert {e["pid"] for e in complete} == {1, 2}


def test_nothing_seen_is_an_empty_trace():
    assert to_chrome_trace([]) == {"displayTimeUnit": "ms", "traceEvents": []}
    assert sum_up_operations([]) == []


def test_times_are_in_microseconds_from_the_first_event_on():
    assert to_chrome_trace(EVENTS)["traceEvents"][-1]["dur"] == pytest.approx(2.0)
