"""Where the work runs: the engine's threads, device, numeric flags and memory counters."""

from __future__ import annotations

import dataclasses

import keras

from backends.engines.tensorflow.device import about, compiled, memory, reset_memory, set_up
from backends.engines.tensorflow.device import resolve as resolve_engine
from backends.task import Variant
from backends.values import Resolved

__all__ = ["about", "compiled", "memory", "reset_memory", "resolve", "set_up"]


#: `compile`'s arguments, by execution. What the guide writes leaves `jit_compile` at "auto", which is XLA on a GPU and
#: none on a CPU; a variant that asks for `compiled` means what TensorFlow's `tf.function` does by itself.
EXECUTIONS: dict[str | None, dict[str, bool]] = {
    None: {},
    "compiled": {"jit_compile": False},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}


def resolve(variant: Variant, model: keras.Model, input_pipeline: str) -> Resolved:
    """What the variant became."""
    jit = "xla" if model.jit_compile else "none"
    engine = resolve_engine(variant, input_pipeline, "keras", jit)
    return dataclasses.replace(engine, framework=f"keras on {keras.backend.backend()}")
