"""What torch.profiler sees."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity

from backends.values import Event


def profile(run: Callable[[], object], folder: str) -> list[Event]:
    """See `Backend.profile`; nothing is left in `folder`."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with torch.profiler.profile(activities=activities) as session:
        run()
    return [
        Event(event.name, *_place(event), event.time_range.start, event.time_range.elapsed_us())
        for event in session.events()
    ]


def _place(event: torch.autograd.profiler_util.FunctionEvent) -> tuple[str, bool]:
    """Where an event ran, and whether that is an accelerator."""
    if event.device_type == DeviceType.CPU:
        return f"thread {event.thread}", False
    return f"device {event.device_index}, stream {event.device_resource_id}", True
