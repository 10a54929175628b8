"""Checkpoint folder: `config.json` and `model.safetensors` in timm's layout, which KerasHub reads as is."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from backends.backbones import Backbone
from bench.errors import UserError

CONFIG = "config.json"
MODEL = "model.safetensors"

#: The layer that a published checkpoint ends with, which a fine-tune replaces.
CLASSIFIER = MappingProxyType({"resnet": "fc", "efficientnet_lite": "classifier"})
#: First layer, and mean and deviation per channel that the weights were trained with. Sources: transforms of
#: torchvision's IMAGENET1K_V1; timm's default configuration of tf_efficientnet_lite0.
TRAINED_WITH = MappingProxyType(
    {
        "resnet": ("conv1", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "efficientnet_lite": ("conv_stem", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    }
)
#: Kinds of number, as safetensors calls them, that become float32 without a loss that matters.
FLOATS = frozenset({"F16", "F32", "F64"})


def config(backbone: Backbone, classes: int) -> dict[str, Any]:
    """What `config.json` says of a checkpoint whose classifier has `classes` outputs (0: it has none)."""
    first, mean, std = TRAINED_WITH[backbone.family]
    return {
        "architecture": backbone.architecture,
        "num_classes": classes,
        "num_features": backbone.features,
        "pretrained_cfg": {
            "custom_load": False,
            "input_size": [3, 224, 224],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": 0.875,
            "crop_mode": "center",
            "mean": list(mean),
            "std": list(std),
            "num_classes": classes,
            "pool_size": [7, 7],
            "first_conv": first,
            "classifier": CLASSIFIER[backbone.family],
        },
    }


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder to fill that becomes `folder` at the end of the block, and vanishes if the block raises.

    Raises:
        UserError: it cannot be made or filled: the disk is full, say, or not the user's.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            # Not the temporary folder itself, whose removal would then fail.
            stage = Path(temporary) / folder.name
            stage.mkdir()
            yield stage
            try:
                stage.rename(folder)
            except OSError:
                # Another process was faster; what it wrote has the same name because it has the same content.
                if not (folder / MODEL).is_file():
                    raise
    except (OSError, SafetensorError) as error:
        raise cannot_write(folder.parent, error) from None


def cannot_write(where: Path, error: Exception) -> UserError:
    """The line for a place in home that cannot be written."""
    reason = getattr(error, "strerror", None) or error
    return UserError(f"{where} cannot be written ({reason}): free some space, or set HEADTOHEAD_HOME to another folder")


def write_model(file: Path, tensors: Mapping[str, np.ndarray], source: str) -> None:
    """Write `tensors` as float32 safetensors; `source` says in its metadata where they come from."""
    floats = {name: np.ascontiguousarray(tensor, dtype=np.float32) for name, tensor in tensors.items()}
    # Readers of the Hugging Face hub insist on a format; "pt" is the one for PyTorch's names and layouts.
    save_file(floats, file, metadata={"format": "pt", "source": source})


def write_config(folder: Path, backbone: Backbone) -> None:
    """Write the `config.json` that fits the model file in `folder`."""
    classifier = f"{CLASSIFIER[backbone.family]}.weight"
    with safe_open(folder / MODEL, "numpy") as model:
        names = model.keys()
        classes = model.get_slice(classifier).get_shape()[0] if classifier in names else 0
    (folder / CONFIG).write_text(json.dumps(config(backbone, classes), indent=2) + "\n")


def check_config(folder: Path, backbone: Backbone) -> str:
    """The architecture that `config.json` names. That it is not `backbone`'s shows in the tensors, not here.

    Raises:
        UserError: there is no such file, or it names none.
    """
    file = folder / CONFIG
    way_out = f"give a folder with {CONFIG} and {MODEL}, a .safetensors file or a .pth state dict"
    if not file.is_file():
        raise UserError(f"{file} is missing: {way_out}")
    try:
        return str(json.loads(file.read_text())["architecture"])
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{file} names no architecture: {way_out}") from None


def source_of(file: Path) -> str:
    """Where a model file says that its tensors come from.

    Raises:
        UserError: the file is missing or cut off.
    """
    try:
        with safe_open(file, "numpy") as model:
            return (model.metadata() or {}).get("source", f"file {file}")
    except (SafetensorError, OSError):
        raise _damaged(file) from None


def read_model(file: Path, backbone: Backbone) -> dict[str, np.ndarray]:
    """The tensors of `Backbone.tensors`, in its order, float32 and contiguous, each known to be finite.

    Raises:
        UserError: the file is missing, cut off or of another architecture, or a tensor is not finite.
    """
    if not file.is_file():
        raise UserError(f"{file} is missing: give a folder with {CONFIG} and {MODEL}, or a file of weights")
    try:
        with safe_open(file, "numpy") as model:
            slices = {name: model.get_slice(name) for name in model.keys()}  # noqa: SIM118 - it is no dict
            shapes = {name: tuple(slice_.get_shape()) for name, slice_ in slices.items()}
            _check_shapes(file, shapes, backbone)
            for name in backbone.tensors():
                if (kind := slices[name].get_dtype()) not in FLOATS:
                    raise UserError(f"{file} holds {name} as {kind}: save it as float32")
            tensors = {name: model.get_tensor(name) for name in backbone.tensors()}
    except (SafetensorError, OSError):
        raise _damaged(file) from None
    return {name: _finite(file, name, tensor) for name, tensor in tensors.items()}


def _damaged(file: Path) -> UserError:
    return UserError(f"{file} is cut off or no safetensors file: put a whole one there")


def _check_shapes(file: Path, found: Mapping[str, tuple[int, ...]], backbone: Backbone) -> None:
    expected = backbone.tensors()
    way_out = f"give a checkpoint of {backbone.architecture}"
    for name, shape in expected.items():
        if name not in found:
            raise UserError(f"{file} is not {backbone.name}: it has no {name} {shape}; {way_out}")
        if found[name] != shape:
            raise UserError(f"{file} is not {backbone.name}: {name} is {found[name]}, not {shape}; {way_out}")
    ignored = (f"{CLASSIFIER[backbone.family]}.", "num_batches_tracked")
    for name, shape in sorted(found.items()):
        # A ResNet-34 holds every tensor of a ResNet-18, in the same shape, and then some.
        if name not in expected and not name.startswith(ignored[0]) and not name.endswith(ignored[1]):
            raise UserError(f"{file} is not {backbone.name}: it has {name} {shape}, {backbone.name} has not; {way_out}")


def _finite(file: Path, name: str, tensor: np.ndarray) -> np.ndarray:
    tensor = np.ascontiguousarray(tensor, dtype=np.float32)
    bad = tensor.size - np.count_nonzero(np.isfinite(tensor))
    if bad:
        raise UserError(f"{file}: {name} holds {bad} values that are NaN or infinite; give sound weights")
    return tensor
