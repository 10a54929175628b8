"""JAX's process settings and memory counters, and how a variant is resolved in the backend `jax`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import flax
import jax
import optax

from backends.engines.jax import device as engine
from backends.engines.jax.device import describe_build, read_memory, reset_memory, set_up
from backends.task import Variant
from backends.values import Resolved

__all__ = ["describe_build", "read_memory", "reset_memory", "resolve", "set_up"]

VERSIONS = {**engine.VERSIONS, "flax": flax.__version__, "optax": optax.__version__}


def resolve(variant: Variant, device: jax.Device, input_pipeline: str, in_force: Mapping[str, str]) -> Resolved:
    """Describe how the variant runs on this machine; as the engine's `resolve`."""
    return replace(engine.resolve(variant, device, input_pipeline, "jax", in_force), versions=VERSIONS)
