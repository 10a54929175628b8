"""Profiles by JAX's own profiler."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator

import jax

from backends.values import Event

#: Planes of its file with events; others describe the machine, or how to show the profile.
DEVICE, HOST = "/device:", "/host:CPU"
#: How events begin that mark the end of another one.
END = "end: "


def profile(run: Callable[[], object], folder: str) -> list[Event]:
    """See `Backend.profile`. JAX writes an `XSpace` into `folder`; it is read by JAX's `ProfileData`."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # a call of every Python function would slow down the steps
    with jax.profiler.trace(folder, profiler_options=options):
        run()
    return [
        event
        for file in glob.glob(f"{folder}/plugins/profile/*/*.xplane.pb")  # noqa: PTH207 (a backend imports no pathlib)
        for plane in jax.profiler.ProfileData.from_file(file).planes
        for event in _read_events(plane)
    ]


def _read_events(plane: jax.profiler.ProfilePlane) -> Iterator[Event]:
    """The events of a plane. Its lines are threads of the host, or streams of a device; times are in nanoseconds."""
    on_device = plane.name.startswith(DEVICE)
    if not on_device and plane.name != HOST:
        return
    for number, line in enumerate(plane.lines, start=1):
        title = f"{(line.name or 'thread').partition('/')[0]} {number}"
        place = f"{plane.name.removeprefix('/')}, {title}" if on_device else title
        for event in line.events:
            if not event.name.startswith(END):
                yield Event(event.name, place, on_device, event.start_ns / 1e3, event.duration_ns / 1e3)
