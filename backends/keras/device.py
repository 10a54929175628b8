"""TensorFlow's process settings and memory counters, and how a variant is resolved in the backend `keras`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras

from backends.engines.tensorflow.device import compile_function, describe_build, read_memory, reset_memory, set_up
from backends.engines.tensorflow.device import resolve as resolve_engine
from backends.task import Variant
from backends.values import Resolved

__all__ = ["compile_function", "describe_build", "read_memory", "reset_memory", "resolve", "set_up"]

#: Arguments of `compile`, by execution. The guide leaves `jit_compile` at "auto", which is XLA on a GPU and nothing on
#: a CPU; `compiled` means TensorFlow's `tf.function` without XLA.
EXECUTIONS: dict[str | None, dict[str, bool]] = {
    None: {},
    "compiled": {"jit_compile": False},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}


def resolve(variant: Variant, model: keras.Model, input_pipeline: str, in_force: Mapping[str, str]) -> Resolved:
    """Describe how the variant runs on this machine; `in_force` as in the engine's `resolve`."""
    jit = "xla" if model.jit_compile else "none"
    engine = resolve_engine(variant, input_pipeline, "keras", jit, in_force)
    return dataclasses.replace(engine, framework=f"keras on {keras.backend.backend()}")
