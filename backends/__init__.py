"""The frameworks, one folder each, behind one contract (`backends.base`)."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.base import Backend


@dataclass(frozen=True)
class Entry:
    """A registry entry: where the backend's module is, and which packages it needs to be installed."""

    module: str
    packages: tuple[str, ...]
    extra: str


#: A new backend is one folder and one entry here.
REGISTRY = MappingProxyType(
    {
        "pytorch": Entry("backends.pytorch", ("torch", "torchvision", "timm"), "pytorch"),
        "tensorflow": Entry("backends.tensorflow", ("tensorflow", "keras", "keras_hub"), "tensorflow"),
        "keras": Entry("backends.keras", ("tensorflow", "keras", "keras_hub"), "keras"),
    }
)


def missing_packages(name: str) -> tuple[str, ...]:
    """The packages that backend `name` needs and this environment lacks; imports none of them."""
    return tuple(p for p in REGISTRY[name].packages if importlib.util.find_spec(p) is None)


def load(name: str) -> Backend:
    """The backend called `name`. Imports its framework, and no other.

    Raises:
        KeyError: no such backend.
        ImportError: its framework is not installed.
    """
    return importlib.import_module(REGISTRY[name].module).BACKEND
