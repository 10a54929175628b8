"""The registry of backends: one folder for each framework, all behind one contract (`backends.base`)."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.base import Backend


@dataclass(frozen=True)
class BackendEntry:
    """A registry entry: a backend's module, the packages that it needs, the extra that installs them, its title.

    The title is the framework's name as its makers write it; without one, sentences use the backend's name.
    """

    module: str
    packages: tuple[str, ...]
    extra: str
    title: str = ""


#: A new backend is one folder and one entry here.
REGISTRY = MappingProxyType(
    {
        "pytorch": BackendEntry("backends.pytorch", ("torch", "torchvision", "timm"), "pytorch", "PyTorch"),
        "tensorflow": BackendEntry(
            "backends.tensorflow", ("tensorflow", "keras", "keras_hub"), "tensorflow", "TensorFlow"
        ),
        "keras": BackendEntry("backends.keras", ("tensorflow", "keras", "keras_hub"), "keras", "Keras"),
    }
)


def get_title(name: str) -> str:
    """The framework's name as its makers write it; `name` itself where none is known."""
    entry = REGISTRY.get(name)
    return (entry.title if entry else "") or name


def find_missing_packages(name: str) -> tuple[str, ...]:
    """List the packages that backend `name` needs and that are not installed; imports none of them."""
    return tuple(p for p in REGISTRY[name].packages if importlib.util.find_spec(p) is None)


def load(name: str) -> Backend:
    """Import the backend called `name`, with its framework and no other.

    Raises:
        KeyError: no such backend.
        ImportError: its framework is not installed.
    """
    return importlib.import_module(REGISTRY[name].module).BACKEND
