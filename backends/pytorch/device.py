"""PyTorch's process settings and memory counters, and how a variant is resolved in the backend `pytorch`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from backends.engines.torch import device as engine
from backends.engines.torch.device import describe_build, read_memory, reset_memory, synchronize
from backends.task import Variant
from backends.values import Resolved

__all__ = ["describe_build", "read_memory", "reset_memory", "resolve", "set_up", "synchronize"]

set_up = partial(engine.set_up, backend="pytorch")


def resolve(variant: Variant, device: torch.device, input_pipeline: str, in_force: Mapping[str, str]) -> Resolved:
    """Describe how the variant runs on this machine; as the engine's `resolve`."""
    return engine.resolve(variant, device, input_pipeline, "pytorch", in_force)
