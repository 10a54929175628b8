"""What bounds a case, decided by what takes the time of its step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Name = Literal["compute", "memory", "overhead", "input"]

#: Training waits for its input pipeline where at least this share of a step's time is not there without it, and the
#: input pipeline alone takes at least the second share of the step's time.
WAITING = 0.1
LOADING = 0.8


@dataclass(frozen=True)
class Seconds:
    """What a training step takes, and what explains it; seconds a step.

    Attributes:
        pipeline: through the input pipeline.
        compute: on batches that are on the device already.
        loader: the input pipeline alone; 0 where there is none.
        convolutions: the step's convolutions alone, one after the other.
        arithmetic, traffic: what those of them would take at the measured rates that arithmetic limits, and those that
            memory limits.
        dispatch: what calling the convolutions would take if they were the smallest operations.
        between: what reading and writing every map between them would take at the measured bandwidth of memory.
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
    """The verdict, and the step's time in shares that add up to 1.

    `compute` and `memory` are the convolutions' time by what limits each of them, but for what calling them takes where
    they take longer than their limits, and `memory` also the maps' between them, as far as there is time for it;
    `overhead` is the rest; `input` is what is not there without the input pipeline.
    """

    name: Name
    shares: dict[Name, float]


def decide(step: Seconds) -> Bound:
    """Input, if training waits for it; otherwise what takes most of a step without it."""
    compute = min(step.compute, step.pipeline)
    convolutions = min(step.convolutions, compute)
    limits = step.arithmetic + step.traffic
    working = convolutions - min(step.dispatch, max(0.0, convolutions - limits))
    by_memory = working * step.traffic / limits if limits else 0.0
    between = min(step.between, compute - convolutions)
    seconds: dict[Name, float] = {
        "compute": working - by_memory,
        "memory": by_memory + between,
        "overhead": compute - working - between,
        "input": step.pipeline - compute,
    }
    shares = {name: part / step.pipeline for name, part in seconds.items()}
    loading = step.loader / step.pipeline
    waits = shares["input"] >= WAITING and (loading >= LOADING or shares["input"] >= 0.5)
    return Bound("input" if waits else max(COMPUTED, key=lambda name: shares[name]), shares)


#: What a step without its input pipeline can be bound by; the first of several that are equal.
COMPUTED: tuple[Name, ...] = ("compute", "memory", "overhead")
