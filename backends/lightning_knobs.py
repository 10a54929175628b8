"""The knobs of the backend `lightning`: PyTorch's values, without those that its loop cannot execute.

Where Lightning's own documentation shows a value, that is its source; otherwise PyTorch's is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.knob_table import Knob

LIGHTNING = "lightning.ai/docs/pytorch/stable/"
GUIDE = f"{LIGHTNING}advanced/transfer_learning.html"
SPEED = f"{LIGHTNING}advanced/speed.html"
ITERABLES = f"{LIGHTNING}data/iterables.html"

#: Values that Lightning does not have, by knob. TorchInductor keeps its CUDA graphs for a thread, and `fit` has one of
#: its own.
WITHOUT: Mapping[str, tuple[str, ...]] = MappingProxyType({"execution": ("reduce_overhead", "max_autotune")})
#: Sources in Lightning's documentation, by knob and value.
SOURCES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("execution", "eager"): GUIDE,
        ("execution", "compiled"): f"{LIGHTNING}advanced/compile.html (here of the frozen backbone)",
        ("precision", "fp32"): "the guide's default",
        ("layout", "nchw"): "the guide's default",
        ("folding", "none"): "the guide's default",
        ("gradients", "no_grad"): f"{GUIDE} (around the feature extractor)",
        ("gradients", "closed_form"): f"{LIGHTNING}model/manual_optimization.html",
        ("features", "recomputed"): GUIDE,
        ("images", "resident"): f"{ITERABLES} (any iterable of batches)",
        ("images", "normalised"): f"{ITERABLES} (any iterable of batches)",
        ("workers", "4"): f"{SPEED} (num_workers)",
        ("transfer", "pinned"): f"{SPEED} (pin_memory)",
    }
)


def add_lightning(knobs: Mapping[str, Knob]) -> Mapping[str, Knob]:
    """The table of knobs, with the values of `lightning` added."""
    return MappingProxyType({name: _add_values(name, knob) for name, knob in knobs.items()})


def _add_values(name: str, knob: Knob) -> Knob:
    own = {
        value: SOURCES.get((name, value), source)
        for value, source in knob.values["pytorch"].items()
        if value not in WITHOUT.get(name, ())
    }
    return dataclasses.replace(knob, values=MappingProxyType({**knob.values, "lightning": own}))
