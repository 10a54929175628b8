"""TensorFlow's process settings and memory counters, and how a variant is resolved in the backend `tensorflow`."""

from __future__ import annotations

from collections.abc import Mapping

from backends.engines.tensorflow.device import compile_function, describe_build, read_memory, reset_memory, set_up
from backends.engines.tensorflow.device import resolve as resolve_engine
from backends.task import Variant
from backends.values import Resolved

__all__ = ["compile_function", "describe_build", "read_memory", "reset_memory", "resolve", "set_up"]

#: The compiler, by execution.
JITS = {"xla": "xla", "compiled_frozen": "none, constants folded"}


def resolve(variant: Variant, input_pipeline: str, in_force: Mapping[str, str]) -> Resolved:
    """Describe how the variant runs on this machine; `in_force` as in the engine's `resolve`."""
    jit = JITS.get(in_force["execution"], "none")
    return resolve_engine(variant, input_pipeline, "tensorflow", jit, in_force)
