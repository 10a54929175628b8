"""Where the work runs: the engine's threads, device, numeric flags and memory counters."""

from __future__ import annotations

import dataclasses

import keras

from backends.base import Resolved
from backends.task import Variant
from backends.tensorflow.device import about, memory, reset_memory, set_up
from backends.tensorflow.device import resolve as resolve_engine

__all__ = ["about", "memory", "reset_memory", "resolve", "set_up"]


def resolve(variant: Variant, model: keras.Model, input_pipeline: str) -> Resolved:
    """What the variant became; `jit_compile="auto"` is XLA on a GPU and none on a CPU."""
    engine = resolve_engine(variant, input_pipeline, jit="xla" if model.jit_compile else "none")
    return dataclasses.replace(engine, framework=f"keras on {keras.backend.backend()}")
