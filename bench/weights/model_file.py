"""Model file: the file with the weights at the user's path, in its format, or what is there in its place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, deserialize

from bench.errors import UserError
from bench.machine.file_kind import describe_kind, find_path_problem, read_head
from bench.weights import pytorch_file
from bench.weights.inert_pickle import StoredView
from bench.weights.stored_tensor import StoredTensor

#: What `--checkpoint` takes.
KINDS = "a .safetensors file, a checkpoint of PyTorch (.pth, .pt, .ckpt, .bin, …), or a folder with one of them"

#: Names of the file in a folder, the first one that is there counts. Sources: timm, transformers.
NAMES = ("model.safetensors", "pytorch_model.bin", "model.pth", "pytorch_model.pth")
#: Where they are in a folder: itself, or a repository in Hugging Face's cache.
PLACES = ("", "snapshots/*/")
ENDINGS = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".th", ".tar")

#: Names in a folder without such a file, and what the folder is.
OTHER_FOLDERS: Mapping[str, str] = {
    "saved_model.pb": "a SavedModel of TensorFlow",
    "*.weights.h5": "a model of Keras",
    "*.keras": "a folder with a model of Keras",
    "*.h5": "a folder with a model of Keras",
    "*.ckpt.index": "a checkpoint of TensorFlow",
    "*.data-00000-of-*": "a checkpoint of TensorFlow",
    "*.index.json": "a checkpoint in several files",
    "*.distcp": "a distributed checkpoint of PyTorch",
    "data.pkl": "a file of PyTorch that was unpacked (pack it again, or download it without unpacking)",
}
#: Names in a zip archive that is no checkpoint of PyTorch, and what the archive is.
OTHER_ARCHIVES: Mapping[str, str] = {
    "constants.pkl": "a TorchScript archive (torch.save(torch.jit.load(FILE).state_dict(), OTHER) saves its weights)",
    "model.weights.h5": "a model of Keras",
    "archive_format": "a program of torch.export",
}

Format = Literal["safetensors", "pytorch"]


def find_model_file(path: Path) -> tuple[Path, Format]:
    """Find the file with the weights at `path`, and its format, by its first bytes; the weights are not read.

    Raises:
        UserError: there is none; the line says what is there.
    """
    if problem := find_path_problem(path):
        raise UserError(f"checkpoint {path} {problem}: give {KINDS}")
    file = _find_in_folder(path) if path.is_dir() else path
    try:
        return file, _find_format(file)
    except OSError as error:
        raise make_unreadable_error(file, error) from None


def read_content(file: Path, format_: Format) -> Any:
    """Read what was saved: dictionaries, with a `StoredTensor` in place of each tensor and an
    `inert_pickle.Placeholder` in place of other objects. Nothing in the file is run.

    Raises:
        UserError: the file is truncated or damaged.
    """
    try:
        if format_ == "safetensors":
            return {
                name: StoredTensor(tuple(entry["shape"]), entry["dtype"], partial(bytes, entry["data"]))
                for name, entry in deserialize(file.read_bytes())
            }
        return _replace_views(pytorch_file.read_file(file))
    except SafetensorError:
        raise make_damaged_error(file, "a safetensors file") from None
    except ValueError:
        raise make_damaged_error(file, "a PyTorch file") from None
    except OSError as error:
        raise make_unreadable_error(file, error) from None


def make_damaged_error(file: Path, kind: str) -> UserError:
    """The error about a file that ends too early."""
    return UserError(f"{file} is truncated, or not {kind}: replace it by a complete one")


def _replace_views(opened: pytorch_file.PyTorchFile) -> Any:
    """What was saved, with tensors that can be read. Dictionaries alone hold weights; a pickle can refer to one of
    them from several places, also from itself.
    """

    def replace(value: Any) -> Any:
        if not isinstance(value, StoredView):
            return value
        return StoredTensor(value.shape, value.dtype, partial(opened.read, value))

    seen, waiting = set(), [opened.content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict) and id(one) not in seen:
            seen.add(id(one))
            waiting.extend(one.values())
            one.update({key: replace(value) for key, value in one.items()})
    return replace(opened.content)


def _find_in_folder(folder: Path) -> Path:
    """The file of weights in a folder.

    Raises:
        UserError: there is none, or nothing tells which one of several is meant.
    """
    try:
        names = sorted(file.name for file in folder.iterdir())
    except OSError as error:
        raise make_unreadable_error(folder, error) from None
    for place in PLACES:
        for name in NAMES:
            found = sorted(folder.glob(f"{place}{name}"))
            if len(found) > 1:
                raise UserError(f"checkpoint {folder} has {name} {len(found)} times, as {found[0]}: give one of them")
            if found:
                return found[0]
    weights = [name for name in names if name.lower().endswith(ENDINGS) and (folder / name).is_file()]
    for pattern, kind in OTHER_FOLDERS.items():
        if next(folder.glob(pattern), None):
            raise UserError(f"checkpoint {folder} is {kind}: give {KINDS}")
    if len(weights) > 1:
        raise UserError(
            f"checkpoint {folder} has {len(weights)} files of weights, {weights[0]} first: give one of them"
        )
    if not weights:
        what = f"has none of {', '.join(NAMES)}" if names else "is empty"
        raise UserError(f"checkpoint {folder} {what}: give {KINDS}")
    return folder / weights[0]


def _find_format(file: Path) -> Format:
    """The format of a file.

    Raises:
        UserError: it is of another kind.
        OSError: it cannot be read.
    """
    head = read_head(file)
    kind = describe_kind(head)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= file.stat().st_size:
        return "safetensors"
    if kind == "a zip archive":
        try:
            entries = pytorch_file.list_entries(file)
        except ValueError:
            raise make_damaged_error(file, "a PyTorch file") from None
        for name, other in OTHER_ARCHIVES.items():
            if name in entries:
                raise UserError(f"checkpoint {file} is {other}: give {KINDS}")
        if "data.pkl" not in entries:
            raise UserError(f"checkpoint {file} is a zip archive of another kind: give {KINDS}")
        return "pytorch"
    if pytorch_file.OLD_SIGNATURE in head[:16]:
        return "pytorch"
    if kind:
        raise UserError(f"checkpoint {file} is {kind}: give {KINDS}")
    if file.suffix.lower() == ".safetensors":
        raise make_damaged_error(file, "a safetensors file")
    raise UserError(f"checkpoint {file} is truncated, or of an unknown kind: give {KINDS}")


def make_unreadable_error(path: Path, error: OSError) -> UserError:
    """The error about a file or a folder that cannot be read, for example because of its permissions."""
    return UserError(f"checkpoint {path} cannot be read ({error.strerror}): give {KINDS}")
