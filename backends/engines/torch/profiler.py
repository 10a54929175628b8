"""Profiles by torch.profiler."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity

from backends.values import Event


def profile(run: Callable[[], object], folder: str) -> list[Event]:
    """See `Backend.profile`; `folder` is not used."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    # Otherwise only this thread would be recorded, and `fit` of Lightning and of Keras has one of its own.
    every_thread = torch._C._profiler._ExperimentalConfig(profile_all_threads=True)
    with torch.profiler.profile(activities=activities, experimental_config=every_thread) as session:
        run()
    return [
        Event(event.name, *_get_place(event), event.time_range.start, event.time_range.elapsed_us())
        for event in session.events()
    ]


def _get_place(event: torch.autograd.profiler_util.FunctionEvent) -> tuple[str, bool]:
    """The place that an event ran in, and whether it is on an accelerator."""
    if event.device_type == DeviceType.CPU:
        return f"thread {event.thread}", False
    return f"device {event.device_index}, stream {event.device_resource_id}", True
