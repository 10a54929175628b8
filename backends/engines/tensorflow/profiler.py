"""Profiles by TensorFlow's own profiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from backends.values import Event

#: Planes of its file with events; others describe the machine, or how to show the profile.
DEVICE, HOST = "/device:", "/host:CPU"


def profile(run: Callable[[], object], folder: str) -> list[Event]:
    """See `Backend.profile`. TensorFlow writes an `XSpace` into `folder`; it is read by TensorFlow's file functions."""
    tf.profiler.experimental.start(folder)
    try:
        run()
    finally:
        tf.profiler.experimental.stop()
    space = xplane_pb2.XSpace()
    for file in tf.io.gfile.glob(f"{folder}/plugins/profile/*/*.xplane.pb"):
        space.MergeFromString(tf.io.read_file(file).numpy())
    return [event for plane in space.planes for event in _read_events(plane)]


def _read_events(plane: xplane_pb2.XPlane) -> Iterator[Event]:
    """The events of a plane. Its lines are threads of the host, or streams of a device; times are in picoseconds."""
    on_device = plane.name.startswith(DEVICE)
    if not on_device and plane.name != HOST:
        return
    for number, line in enumerate(plane.lines, start=1):
        title = f"{(line.display_name or line.name or 'thread').partition('/')[0]} {number}"
        place = f"{plane.name.removeprefix('/')}, {title}" if on_device else title
        for event in line.events:
            about = plane.event_metadata[event.metadata_id]
            start = line.timestamp_ns / 1e3 + event.offset_ps / 1e6
            yield Event(about.display_name or about.name, place, on_device, start, event.duration_ps / 1e6)
