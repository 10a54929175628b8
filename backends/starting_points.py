"""Starting points: combinations of knobs from which a search for the fastest one begins, by backend.

Each was the fastest of many on some machine: ResNet-18 at 32 px and batch 128, on two cores with bf16 or on an H100.
On other machines others may be faster, which the search finds out. A knob that a machine or a task does not support is
left out of them. The knob that gains most comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

Knobs = Mapping[str, str]

_PYTORCH: Knobs = {"layout": "nhwc", "folding": "product", "images": "normalised", "gradients": "closed_form"}
_OTHERS: Knobs = {"folding": "product", "images": "normalised"}
_JAX: Knobs = {"folding": "product", "execution": "functional", "images": "normalised", "steps_per_execution": "4"}
_BF16: Knobs = {"precision": "bf16"}

STARTING_POINTS: Mapping[str, tuple[Knobs, ...]] = MappingProxyType(
    {
        "pytorch": (
            {**_BF16, **_PYTORCH, "execution": "onednn_graph"},
            {**_PYTORCH, "execution": "onednn_graph"},
            {**_BF16, **_PYTORCH},
            {**_BF16, "execution": "cuda_graphs", "layout": "nhwc", "images": "resident"},
        ),
        "tensorflow": (
            {**_BF16, **_OTHERS, "steps_per_execution": "4"},
            {**_OTHERS, "steps_per_execution": "4"},
            {**_BF16, "folding": "product", "steps_per_execution": "8"},
        ),
        "jax": ({**_JAX}, {**_BF16, **_JAX}),
        "keras-torch": ({**_BF16, **_OTHERS}, {**_OTHERS}),
        "keras-jax": ({**_OTHERS}, {**_BF16, **_OTHERS}),
        "keras": (
            {**_BF16, **_OTHERS, "steps_per_execution": "8"},
            {**_OTHERS, "steps_per_execution": "8"},
            {**_BF16, "folding": "product"},
        ),
        "lightning": (
            {**_BF16, **_PYTORCH, "execution": "onednn_graph"},
            {**_PYTORCH, "execution": "onednn_graph"},
            {**_BF16, **_PYTORCH},
            {**_BF16, "execution": "cuda_graphs", "layout": "nhwc", "images": "resident"},
        ),
    }
)
