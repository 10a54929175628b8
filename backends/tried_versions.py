"""The versions that this project's backends were tried with, by distribution: those that its extras install."""

from __future__ import annotations

from types import MappingProxyType

TRIED_VERSIONS = MappingProxyType(
    {
        "torch": ">=2.9,<3",
        "torchvision": ">=0.24,<1",
        "timm": ">=1.0.15,<2",
        "tensorflow": ">=2.20,<3",
        "keras": ">=3.12,<4",
        "keras-hub": ">=0.25,<1",
        "jax": ">=0.7,<1",
        "flax": ">=0.12,<1",
        "optax": ">=0.2.5,<1",
        "pytorch-lightning": ">=2.5,<3",
    }
)
