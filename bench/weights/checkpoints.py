"""Checkpoints: the backbone's weights as NumPy arrays, from a file, from the home, or downloaded.

This module imports no framework. Published weights are obtained by `bench.weights.conversion`, in a separate process.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from backends.backbones import Backbone
from backends.task import Task
from backends.task_entries import CHECKPOINTS, load_function
from bench.cache.home import find_files, get_home
from bench.errors import Unavailable, UserError
from bench.weights import random_weights
from bench.weights.checkpoint_folder import (
    MODEL,
    read_model,
    read_source,
    stage_folder,
    write_config,
    write_model,
)
from bench.weights.model_file import find_model_file, make_unreadable_error
from bench.weights.state_dict import read_state_dict


@dataclass(frozen=True)
class Checkpoint:
    """Weights on disk, checked.

    Attributes:
        folder: has `config.json` and `model.safetensors` in timm's layout.
        backbone: name of their backbone.
        weights: their name in the task.
        sha256: of the backbone's tensors, sorted by name: names and float32 bytes, without the classifier.
        source: where they come from, as text for people.
    """

    folder: Path
    backbone: str
    weights: str
    sha256: str
    source: str


def obtain(task: Task, path: Path | None = None, *, progress: bool = True, url: str | None = None) -> Checkpoint:
    """Obtain the weights of `task`: those at `path`, else the task's from the home, else drawn or downloaded.

    Args:
        task: names the backbone, its weights, and the seed of random ones.
        path: a `.safetensors` file, a checkpoint of PyTorch, or a folder with one of them.
        progress: whether a download shows a bar on stderr.
        url: of the published weights, instead of torchvision's address; it ends in `-<sha256 prefix>.pth`.

    Raises:
        Unavailable: they are not on this machine, and cannot be downloaded or converted.
        UserError: what is at `path` is not a checkpoint of the task's backbone.
    """
    if path is None and task.weights in CHECKPOINTS:
        path = _find_packaged(task.weights)
    if path is not None:
        return _obtain_from_path(task, path)
    label = f"random-{task.seed}" if task.weights == "random" else task.weights
    folder = get_home() / "checkpoints" / f"{task.backbone}-{label}"
    if not (folder / MODEL).is_file():
        with stage_folder(folder) as stage:
            if task.weights == "random":
                drawn = random_weights.draw_weights(task.network, task.seed)
                write_model(stage / MODEL, drawn, f"drawn from seed {task.seed}")
            else:
                _convert_published(task, stage, progress, url)
            read_model(stage / MODEL, task.network)
            write_config(stage, task.network)
    try:
        return read_checkpoint(task, folder)
    except UserError as error:
        raise UserError(f"{error} (or delete {folder}: the next run creates it again)") from None


def find_location(backbone: str, weights: str) -> str:
    """Describe where the weights are that `obtain` would use; downloads and converts nothing.

    Raises:
        Unavailable: they are not on this machine; the line says what to do.
    """
    if weights in CHECKPOINTS:
        return f"comes with {CHECKPOINTS.get_distribution(weights)}"
    folder = get_home() / "checkpoints" / f"{backbone}-{weights}"
    if (folder / MODEL).is_file():
        return str(folder)
    downloads = get_home() / "downloads"
    package = f"package {weights}" if find_spec(weights.replace("-", "_")) else None
    places = downloads, _get_torch_hub_folder()
    files = (str(file) for place in places for file in find_files(place, f"{backbone}-*.pth"))
    if found := package or next(files, None):
        if find_spec("torch") is None and not package:
            raise Unavailable(
                f"{found} is there, but PyTorch, which knows its checksum, is not: "
                "pip install 'head-to-head[pytorch]', or give it with bench run --checkpoint"
            )
        return f"{found} (converted on first use)"
    raise Unavailable(
        f"not in {folder.parent} or {downloads}: would be downloaded; or give them with bench run --checkpoint"
    )


def _get_torch_hub_folder() -> Path:
    """The folder in which `torch.hub` keeps checkpoints, by https://docs.pytorch.org/docs/stable/hub.html."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")) / "hub" / "checkpoints"


def hash_tensors(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names and bytes, sorted by name: launches with the same one started from the same weights."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name], dtype="<f4").data)
    return digest.hexdigest()


def check_path(path: Path) -> None:
    """Check that the user's checkpoint is there and of a known kind, without reading it.

    Raises:
        UserError: it is not.
    """
    find_model_file(path)


def _find_packaged(weights: str) -> Path:
    """Find the file of a package's weights.

    Raises:
        UserError: the package's function fails.
    """
    function = CHECKPOINTS[weights]
    try:
        return Path(load_function(function)())
    except ValueError as error:
        problem = str(error)
    except (Exception, SystemExit) as error:  # whatever another package's function raises
        problem = f"{function} raised {type(error).__name__}: {error}"
    line = problem.splitlines()[0]
    raise UserError(f"weights {weights}: {line}: correct or update {CHECKPOINTS.get_distribution(weights)}")


def read_checkpoint(task: Task, folder: Path, source: str = "") -> Checkpoint:
    """Read the checkpoint of a task in a folder.

    Args:
        source: where it comes from; by default as its model file says.

    Raises:
        UserError: the model file is missing, truncated or of another architecture.
    """
    source = source or read_source(folder / MODEL)[0]
    content = hash_tensors(read_model(folder / MODEL, task.network))
    return Checkpoint(folder, task.backbone, task.weights, content, source)


def hash_file(file: Path) -> str:
    """First 12 hex digits of a file's SHA-256.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()[:12]
    except OSError as error:
        raise make_unreadable_error(file, error) from None


def _obtain_from_path(task: Task, path: Path) -> Checkpoint:
    """Read the checkpoint at the user's `path`. Its weights are copied into a folder of the home, named after the
    file's content.
    """
    file, format_ = find_model_file(path)
    folder = get_home() / "checkpoints" / f"{task.backbone}-{hash_file(file)}"
    if not (folder / MODEL).is_file():
        tensors, taken = read_state_dict(file, format_, task.network)
        with stage_folder(folder) as stage:
            write_model(stage / MODEL, tensors, f"file {file}", taken)
            write_config(stage, task.network)
    taken = read_source(folder / MODEL)[1]
    return read_checkpoint(task, folder, f"file {file}" + (f" ({taken})" if taken else ""))


def _convert_published(task: Task, stage: Path, progress: bool, url: str | None) -> None:
    """Convert the published weights, which are downloaded or in an installed package."""
    options = ["--weights", task.weights, "--downloads", str(get_home() / "downloads")]
    options += ["--url", url] if url else []
    options += [] if progress else ["--quiet"]
    _convert(task.network, stage / MODEL, f"{task.weights} of {task.backbone}", *options)


def _convert(backbone: Backbone, out: Path, what: str, *options: str) -> None:
    """Run `bench.weights.conversion` in a process; its errors are raised here."""
    if find_spec("torch") is None and backbone.family == "resnet":
        raise Unavailable(f"the download of {what} needs PyTorch: pip install 'head-to-head[pytorch]'")
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
            f"the conversion of {what} ended with exit status {done.returncode}: see its last lines above"
        ) from None
