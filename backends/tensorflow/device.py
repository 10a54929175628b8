"""Where the work runs: the engine's threads, device, numeric flags and memory counters."""

from __future__ import annotations

from backends.engines.tensorflow.device import about, compiled, memory, reset_memory, set_up
from backends.engines.tensorflow.device import resolve as resolve_engine
from backends.knobs import value_of
from backends.task import Variant
from backends.values import Resolved

__all__ = ["about", "compiled", "memory", "reset_memory", "resolve", "set_up"]

#: What compiles, by execution.
JITS = {"xla": "xla", "compiled_frozen": "none, constants folded"}


def resolve(variant: Variant, input_pipeline: str) -> Resolved:
    """What the variant became."""
    jit = JITS.get(value_of("tensorflow", variant, "execution"), "none")
    return resolve_engine(variant, input_pipeline, "tensorflow", jit)
