"""The checkpoints of exported networks: exported once in a process of their own, and kept in the home.

A folder has the graph and the constants beside the weights. Its name says the network, the size of images and the
weights, and has a hash of what else they depend on: the versions of timm and PyTorch, and the code that exports.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from safetensors import SafetensorError

from backends.exported.exported_backbone import PROGRAM, TIMM, add_network, is_exported
from backends.exported.network_graph import InvalidGraph
from backends.task import Task
from bench.cache.home import find_files, get_home
from bench.errors import Unavailable, UserError
from bench.machine.environment import PROJECT
from bench.networks import saved_programs
from bench.networks.processes import NEEDED, RunningPython, make_unknown_network_error
from bench.records.store import write_bytes
from bench.weights import checkpoints
from bench.weights.checkpoint_folder import MODEL, stage_folder
from bench.weights.checkpoints import Checkpoint, hash_file
from bench.weights.exported_files import CONSTANTS, GRAPH, SAVED_PROGRAM, get_graph_folder, read_network
from bench.weights.model_file import find_model_file

#: In the folder of a graph of a backbone of the table: the folder of the exported network that it was copied from.
MADE_FROM = "made-from"
#: What is said of a network that the graph cannot express.
NO_OPERATION = "the graph has no such operation: docs/network-graph.md of this project lists those that it has"
#: What reading a folder raises that was cut off or changed.
DAMAGED = (InvalidGraph, SafetensorError, OSError, ValueError)


def obtain(task: Task, path: Path | None = None, *, progress: bool = True) -> Checkpoint:
    """Obtain the weights and the graph of a task whose backbone is a network of timm, or a saved program; this process
    knows the network from then on.

    Args:
        path: of a checkpoint of the network, in place of the task's weights; see `checkpoints.obtain`.
        progress: whether a line on stderr says that the network is exported, and a download shows a bar there.

    Raises:
        UserError: timm has no such network, it cannot be exported, or what is at `path` is no checkpoint of it.
        Unavailable: timm or PyTorch is not installed, or the weights cannot be downloaded.
    """
    if path and task.backbone.startswith(PROGRAM):
        raise UserError(f"--checkpoint {path}: {task.backbone} has its own weights: leave it out")
    file = find_model_file(path)[0] if path else None
    label = f"file-{hash_file(file)}" if file else _make_label(task)
    folder = get_home() / "checkpoints" / _make_folder_name(task, label)
    if not (folder / MODEL).is_file():
        _export(task, folder, file, progress)
    try:
        add_network(task.backbone, task.image_size, read_network(folder))
        return checkpoints.read_checkpoint(task, folder, f"file {file}" if file else "")
    except (UserError, *DAMAGED) as error:
        raise _make_damage_error(folder, error) from None


def _copy_program(task: Task, folder: Path) -> Path:
    """Put a saved program beside what is exported from it, where PyTorch's workers find it."""
    kept = saved_programs.find_file(task.backbone)
    if not kept.is_file():
        raise UserError(
            f"{task.backbone} is not kept any more: give its file with --backbone FILE{saved_programs.ENDING}"
        )
    return Path(shutil.copyfile(kept, folder / SAVED_PROGRAM))


def learn_kept_network(task: Task) -> bool:
    """Let this process know an exported network of which a checkpoint is kept, whichever; returns whether one is."""
    for folder in list_kept_folders(task):
        with contextlib.suppress(*DAMAGED):
            add_network(task.backbone, task.image_size, read_network(folder))
            return True
    return False


def list_kept_folders(task: Task) -> list[Path]:
    """The checkpoints that are kept of an exported network, of all weights and versions."""
    return [graph.parent for graph in find_files(get_home() / "checkpoints", f"{_make_name(task)}-*/{GRAPH}")]


def add_graph(task: Task, checkpoint: Checkpoint) -> None:
    """Put the graph of a backbone of the table beside its checkpoint, so that workers can build the backbone from it.
    The graph is that of timm's network of the same tensors.

    Raises:
        UserError: it cannot be exported, or its files are damaged.
        Unavailable: timm or PyTorch is not installed.
    """
    if is_exported(task.backbone):
        return
    folder = get_graph_folder(checkpoint.folder, task)
    fields = {"backbone": f"{TIMM}{task.network.architecture}", "weights": "random", "seed": 0, "batch_norm": "frozen"}
    source = task.model_copy(update=fields)
    made_from, name = folder / MADE_FROM, _make_folder_name(source, _make_label(source))
    # Without PyTorch and timm, whose versions the name has, what is there has to do.
    if not made_from.is_file() or (not _list_missing() and made_from.read_text() != name):
        exported = obtain(source)
        folder.mkdir(exist_ok=True)
        for file in (GRAPH, CONSTANTS):
            write_bytes(folder / file, (exported.folder / file).read_bytes())
        write_bytes(made_from, name.encode())  # last: it says that the others are there
    try:
        add_network(task.backbone, task.image_size, read_network(folder))
    except DAMAGED as error:
        raise _make_damage_error(folder, error) from None


def _make_damage_error(folder: Path, error: Exception) -> UserError:
    return UserError(f"{folder} is damaged ({error}): delete it: the next run exports the network again")


def _list_missing() -> list[str]:
    return [name for name in NEEDED if find_spec(name) is None]


def _make_label(task: Task) -> str:
    return f"random-{task.seed}" if task.weights == "random" else task.weights


def _make_folder_name(task: Task, weights: str) -> str:
    digest = hashlib.sha256()
    for package in NEEDED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            digest.update(f"{package} {metadata.version(package)} ".encode())
    code = (*PROJECT.glob("bench/networks/*.py"), PROJECT / "backends/exported/network_graph.py")
    for file in sorted((*code, PROJECT / "backends/engines/torch/timm_network.py")):
        digest.update(file.read_bytes())
    return f"{_make_name(task)}-{weights}-{digest.hexdigest()[:12]}"


def _make_name(task: Task) -> str:
    return f"{task.backbone.replace('/', '-')}-{task.image_size}"


def _export(task: Task, folder: Path, file: Path | None, progress: bool) -> None:
    if missing := _list_missing():
        raise Unavailable(f"{task.backbone} needs {' and '.join(missing)}: pip install 'head-to-head[pytorch]'")
    if progress:
        print(f"exporting {task.backbone} at {task.image_size} px from PyTorch, once", file=sys.stderr, flush=True)
    with stage_folder(folder) as stage:
        options = ["--image-size", str(task.image_size)]
        downloads = file is None and task.weights != "random" and not task.backbone.startswith(PROGRAM)
        name = task.backbone.removeprefix(TIMM)
        if task.backbone.startswith(PROGRAM):
            name = str(_copy_program(task, stage))
        elif file:
            options += ["--checkpoint", str(file)]
        else:
            options += ["--pretrained"] if downloads else ["--seed", str(task.seed)]
        process = RunningPython()
        try:
            answer = process.run("bench.networks.export", (name, "--out", str(stage), *options), online=downloads)
        finally:
            process.kill()  # if this one is stopped
        if "known" in answer:
            raise make_unknown_network_error(name, answer["known"])
        if answer.get("offline"):
            raise Unavailable(
                f"the pretrained weights of {task.backbone} cannot be downloaded ({answer['error']}): connect to the "
                "network, give a file with --checkpoint, or use --weights random"
            )
        if answer.get("no_program"):
            saved_programs.find_file(task.backbone).unlink(missing_ok=True)
            raise UserError(
                f"{task.backbone}: PyTorch cannot read the program ({answer['error']}): give a whole file of "
                "torch.export.save, of this version of PyTorch or an older one"
            )
        if answer.get("unreadable"):
            raise UserError(f"{file} is no checkpoint of {task.backbone}: {answer['error']}")
        if "error" in answer:
            advice = f" ({NO_OPERATION})" if answer.get("lacking") else ""
            raise UserError(f"{task.backbone} cannot be exported at {task.image_size} px: {answer['error']}{advice}")
