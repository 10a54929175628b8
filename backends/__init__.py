"""The backends: one folder for each framework, all behind one contract (`backends.base`), found by their registry."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

from backends.registry import BackendEntry, CudaSupport, Registry
from backends.tried_versions import TRIED_VERSIONS

if TYPE_CHECKING:
    from backends.base import Backend

__all__ = ["REGISTRY", "BackendEntry", "CudaSupport", "find_missing_packages", "get_title", "load"]

#: What pip installs has CUDA 13 from torch 2.11 on. What is there without CUDA has the same name, so that pip must be
#: asked to replace it. (pytorch.org/get-started/locally; the packages' own requirements)
_TORCH = CudaSupport(
    "backends.engines.torch.device",
    {13: "--force-reinstall torch torchvision", 12: "--force-reinstall 'torch<2.11' 'torchvision<0.26'"},
)
#: (www.tensorflow.org/install/pip)
_TENSORFLOW = CudaSupport("backends.engines.tensorflow.device", {12: "'tensorflow[and-cuda]'"})
#: (docs.jax.dev/en/latest/installation.html)
_JAX = CudaSupport("backends.engines.jax.device", {13: "'jax[cuda13]'", 12: "'jax[cuda12]'"})

#: `fit` has a thread of its own, to which glibc gives an arena of its own. That arena returns to the system what a step
#: frees, and the next step of Keras on PyTorch has thousands of page faults (docs/lessons.md). `fit` of a user has the
#: main thread's.
_ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}

#: A new backend of this project is one folder and one entry here; one of another package is an entry point.
REGISTRY = Registry(
    {
        "pytorch": BackendEntry(
            "backends.pytorch",
            ("torch", "torchvision", "timm"),
            "pytorch",
            "PyTorch",
            cuda=_TORCH,
            recipes=True,
            augmentations=True,
            several_devices=("cpu", "cuda"),
        ),
        "tensorflow": BackendEntry(
            "backends.tensorflow",
            ("tensorflow", "keras", "keras_hub"),
            "tensorflow",
            "TensorFlow",
            cuda=_TENSORFLOW,
            recipes=True,
            augmentations=True,
            environment={"KERAS_BACKEND": "tensorflow"},
            several_devices=("cpu", "cuda"),
            hides=("jax",),  # TensorFlow imports it for its converter (tensorflow/lite/python/util.py)
            exported_networks=True,
        ),
        "keras": BackendEntry(
            "backends.keras.on_tensorflow",
            ("tensorflow", "keras", "keras_hub"),
            "keras",
            "Keras",
            cuda=_TENSORFLOW,
            recipes=True,
            augmentations=True,
            environment={"KERAS_BACKEND": "tensorflow"},
            hides=("jax",),  # TensorFlow imports it for its converter (tensorflow/lite/python/util.py)
            exported_networks=True,
        ),
        "jax": BackendEntry(
            "backends.jax",
            ("jax", "flax", "optax"),
            "jax",
            "JAX",
            cuda=_JAX,
            recipes=True,
            augmentations=True,
            # Otherwise JAX takes three quarters of a GPU's memory at once, which would hide what is used.
            environment={"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
            several_devices=("cpu", "cuda"),
            exported_networks=True,
        ),
        "keras-torch": BackendEntry(
            "backends.keras.on_torch",
            ("torch", "torchvision", "keras", "keras_hub"),
            "keras-torch",
            "Keras on PyTorch",
            cuda=_TORCH,
            recipes=True,
            augmentations=True,
            environment={"KERAS_BACKEND": "torch", **_ONE_ARENA},
            hides=("tensorflow", "jax"),  # KerasHub imports the one where it is installed, and Keras the other
            exported_networks=True,
        ),
        "keras-jax": BackendEntry(
            "backends.keras.on_jax",
            ("jax", "scipy", "keras", "keras_hub"),
            "keras-jax",
            "Keras on JAX",
            cuda=_JAX,
            recipes=True,
            augmentations=True,
            environment={"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false", **_ONE_ARENA},
            several_devices=("cpu", "cuda"),
            hides=("tensorflow", "torch"),  # KerasHub imports the one where it is installed
            exported_networks=True,
        ),
        "lightning": BackendEntry(
            "backends.lightning",
            ("torch", "torchvision", "timm", "pytorch_lightning"),
            "lightning",
            "Lightning",
            cuda=_TORCH,
            recipes=True,
            augmentations=True,
            several_devices=("cpu", "cuda"),
        ),
    },
    TRIED_VERSIONS,
)


def get_title(name: str) -> str:
    """The framework's name as its makers write it; `name` itself where none is known."""
    entry = REGISTRY.get(name)
    return (entry.title if entry else "") or name


def find_missing_packages(name: str) -> tuple[str, ...]:
    """List the packages that backend `name` needs and that are not installed; imports none of them."""
    return tuple(package for package in REGISTRY[name].packages if not _is_installed(package))


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:  # of a package that it would be in
        return False


def load(name: str) -> Backend:
    """Import the backend called `name`, with its framework and no other.

    Raises:
        KeyError: no such backend.
        ImportError: its framework is not installed.
    """
    return importlib.import_module(REGISTRY[name].module).BACKEND
