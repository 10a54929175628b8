"""Checkpoint folder: `config.json` and `model.safetensors` in timm's layout, which KerasHub also reads."""

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

from backends.backbones import Backbone, Shape
from bench.errors import UserError
from bench.weights.stored_tensor import FLOATS

CONFIG = "config.json"
MODEL = "model.safetensors"

#: The last layer of a published checkpoint, which a fine-tune replaces.
CLASSIFIER = MappingProxyType({"resnet": "fc", "efficientnet_lite": "classifier"})
#: First layer, and the mean and deviation per channel with which the weights were trained. Sources: transforms of
#: torchvision's IMAGENET1K_V1; timm's default configuration of tf_efficientnet_lite0.
TRAINED_WITH = MappingProxyType(
    {
        "resnet": ("conv1", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "efficientnet_lite": ("conv_stem", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    }
)


def make_config(backbone: Backbone, classes: int) -> dict[str, Any]:
    """The content of `config.json` for a checkpoint whose classifier has `classes` outputs (0: it has none)."""
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
def stage_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes `folder` at the end of the block, and is removed if the block raises.

    Raises:
        UserError: it cannot be made or filled, for example because the disk is full.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            # Not the temporary folder itself: its removal would fail after the rename.
            stage = Path(temporary) / folder.name
            stage.mkdir()
            yield stage
            try:
                stage.rename(folder)
            except OSError:
                # Another process has written it first; the same name means the same content.
                if not (folder / MODEL).is_file():
                    raise
    except (OSError, SafetensorError) as error:
        raise make_write_error(folder.parent, error) from None


def make_write_error(where: Path, error: Exception) -> UserError:
    """The error about a folder of the home that cannot be written."""
    reason = getattr(error, "strerror", None) or error
    return UserError(f"{where} cannot be written ({reason}): free some space, or set HEADTOHEAD_HOME to another folder")


def write_model(file: Path, tensors: Mapping[str, np.ndarray], source: str, taken: str = "") -> None:
    """Write `tensors` as float32 safetensors. Their `source`, and from which part of it they were `taken`, go into the
    metadata as text.
    """
    floats = {name: np.ascontiguousarray(tensor, dtype=np.float32) for name, tensor in tensors.items()}
    # Readers of the Hugging Face hub require a format; "pt" means PyTorch's names and layouts.
    save_file(floats, file, metadata={"format": "pt", "source": source, "taken": taken})


def write_config(folder: Path, backbone: Backbone) -> None:
    """Write the `config.json` for the model file in `folder`; a backbone without a known classifier has none."""
    if backbone.family not in CLASSIFIER:
        return
    classifier = f"{CLASSIFIER[backbone.family]}.weight"
    with safe_open(folder / MODEL, "numpy") as model:
        names = model.keys()
        classes = model.get_slice(classifier).get_shape()[0] if classifier in names else 0
    (folder / CONFIG).write_text(json.dumps(make_config(backbone, classes), indent=2) + "\n")


def read_source(file: Path) -> tuple[str, str]:
    """Read where a model file's tensors come from, and from which part of it they were taken, as text.

    Raises:
        UserError: the file is missing or truncated.
    """
    try:
        with safe_open(file, "numpy") as model:
            metadata = model.metadata() or {}
    except (SafetensorError, OSError):
        raise _make_damaged_error(file) from None
    return metadata.get("source", f"file {file}"), metadata.get("taken", "")


def read_model(file: Path, backbone: Backbone) -> dict[str, np.ndarray]:
    """Read the tensors of `Backbone.tensors`, in its order, float32, contiguous and finite.

    Raises:
        UserError: the file is missing, truncated or of another architecture, or a tensor is not finite.
    """
    if not file.is_file():
        raise UserError(f"{file} is missing: give a folder with {CONFIG} and {MODEL}, or a file of weights")
    try:
        with safe_open(file, "numpy") as model:
            slices = {name: model.get_slice(name) for name in model.keys()}  # noqa: SIM118 - it is no dict
            shapes = {name: tuple(slice_.get_shape()) for name, slice_ in slices.items()}
            if problem := find_problem(shapes, backbone):
                raise UserError(
                    f"{file} is not {backbone.name}: {problem}; give a checkpoint of {backbone.architecture}"
                )
            for name in backbone.tensors():
                if (kind := slices[name].get_dtype()) not in FLOATS:
                    raise UserError(f"{file} has {name} as {kind}: save it as float32")
            tensors = {name: model.get_tensor(name) for name in backbone.tensors()}
    except (SafetensorError, OSError):
        raise _make_damaged_error(file) from None
    return {name: check_finite(file, name, tensor) for name, tensor in tensors.items()}


def _make_damaged_error(file: Path) -> UserError:
    return UserError(f"{file} is truncated, or not a safetensors file: replace it by a complete one")


def find_problem(found: Mapping[str, Shape], backbone: Backbone) -> str | None:
    """Find the first difference between tensors and those of a backbone, by names and shapes; None if there is none.

    Counters do not count, and neither does a part that the backbone does not have, as a classifier or a projection.
    """
    expected = backbone.tensors()
    for name, shape in expected.items():
        if name not in found:
            return f"it has no {name} {shape}"
        if found[name] != shape:
            return f"{name} is {found[name]}, not {shape}"
    parts = {name.partition(".")[0] for name in expected}
    for name, shape in sorted(found.items()):
        # A ResNet-34 has all tensors of a ResNet-18, with the same shapes, and more.
        if name not in expected and name.partition(".")[0] in parts and not name.endswith("num_batches_tracked"):
            return f"it has {name} {shape}, {backbone.name} has not"
    return None


def check_finite(file: Path, name: str, tensor: np.ndarray) -> np.ndarray:
    """A tensor as contiguous float32.

    Raises:
        UserError: a value is NaN or infinite.
    """
    tensor = np.ascontiguousarray(tensor, dtype=np.float32)
    bad = tensor.size - np.count_nonzero(np.isfinite(tensor))
    if bad:
        raise UserError(f"{file}: {name} has {bad} values that are NaN or infinite; give finite weights")
    return tensor
