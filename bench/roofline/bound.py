"""The bound of a case: what takes most of its training step's time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BoundName = Literal["compute", "memory", "overhead", "input"]

#: What a step on the device can be bound by; the first one of equal shares.
DEVICE_BOUNDS: tuple[BoundName, ...] = ("compute", "memory", "overhead")
#: A step is bound by input if this share of its time is missing on the device, and the input pipeline alone takes at
#: least the second share of its time; or if the third share is missing on the device.
INPUT_BOUND_SHARE = 0.1
INPUT_BOUND_LOADER_SHARE = 0.8
INPUT_BOUND_ALONE_SHARE = 0.5


@dataclass(frozen=True)
class StepSeconds:
    """The time of a training step, and the times that explain it; in seconds per step.

    Attributes:
        pipeline: with the input pipeline.
        compute: on batches that are already on the device.
        loader: the input pipeline alone; 0 if there is none.
        convolutions: the step's convolutions alone, one after the other.
        arithmetic: at the measured rates, of the convolutions that arithmetic limits.
        traffic: at the measured rates, of the convolutions that memory limits.
        dispatch: of as many of the smallest operations as there are convolutions.
        between: of reading and writing all maps between the convolutions, at the measured bandwidth of memory.
    """

    pipeline: float
    compute: float
    loader: float
    convolutions: float
    arithmetic: float
    traffic: float
    dispatch: float
    between: float


@dataclass(frozen=True)
class Bound:
    """What a case is bound by, and the shares of its step's time, which add up to 1.

    - `compute`, `memory`: the time of the convolutions, divided in proportion to what limits them. Where they take
      longer than their limits, the time of their dispatch is not in it. `memory` also has the time of the maps between
      the convolutions, up to the time that the step has for them.
    - `overhead`: the rest of a step on the device.
    - `input`: the time that a step on the device does not take.
    """

    name: BoundName
    shares: dict[BoundName, float]


def decide_bound(step: StepSeconds) -> Bound:
    """Decide for input if training waits for it; otherwise for what takes most of a step on the device."""
    compute = min(step.compute, step.pipeline)
    convolutions = min(step.convolutions, compute)
    limits = step.arithmetic + step.traffic
    working = convolutions - min(step.dispatch, max(0.0, convolutions - limits))
    by_memory = working * step.traffic / limits if limits else 0.0
    between = min(step.between, compute - convolutions)
    seconds: dict[BoundName, float] = {
        "compute": working - by_memory,
        "memory": by_memory + between,
        "overhead": compute - working - between,
        "input": step.pipeline - compute,
    }
    shares = {name: part / step.pipeline for name, part in seconds.items()}
    loader_share = step.loader / step.pipeline
    waits = shares["input"] >= INPUT_BOUND_SHARE and (
        loader_share >= INPUT_BOUND_LOADER_SHARE or shares["input"] >= INPUT_BOUND_ALONE_SHARE
    )
    return Bound("input" if waits else max(DEVICE_BOUNDS, key=lambda name: shares[name]), shares)
