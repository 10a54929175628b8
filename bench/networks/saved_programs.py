"""Programs of the user that `torch.export.save` wrote: kept in the home, and named in tasks after their content."""

from __future__ import annotations

import re
import shutil
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from backends.exported.exported_backbone import PROGRAM
from bench.cache.home import get_home
from bench.errors import UserError
from bench.machine.file_kind import find_path_problem
from bench.weights.checkpoint_folder import make_write_error
from bench.weights.checkpoints import hash_file

#: How the names of files end that can be given as a backbone.
ENDING = ".pt2"


def is_program(backbone: str) -> bool:
    """Whether a backbone is given as a file."""
    return backbone.endswith(ENDING)


def keep_program(path: str) -> str:
    """Keep a program; returns the name of its backbone in tasks, `program/NAME-HASH`.

    Raises:
        UserError: there is no such file, or it cannot be kept.
    """
    file = Path(path)
    if problem := find_path_problem(file):
        raise UserError(f"--backbone {path}: it {problem}: give a file of torch.export.save")
    if file.is_dir():
        raise UserError(f"--backbone {path}: it is a folder: give a file of torch.export.save")
    return _keep(file.absolute(), file.stat().st_mtime_ns)


def keep_module(module: Any, image_size: int) -> str:
    """Keep a `torch.nn.Module` of this process with its present weights; returns the name of its backbone in tasks.

    Args:
        module: computes features (n, d) of images (n, 3, image_size, image_size).

    Raises:
        UserError: PyTorch cannot export it, or it cannot be kept.
    """
    saved_program = import_module("backends.engines.torch.saved_program")  # who has a module has imported PyTorch
    with tempfile.TemporaryDirectory(prefix="head-to-head-program-") as folder:
        file = Path(folder) / f"{type(module).__name__}{ENDING}"
        try:
            saved_program.save_module(module, image_size, str(file))
        except Exception as error:  # whatever torch.export raises of a module
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(f"backbone={type(module).__name__}: PyTorch cannot export it: {line}") from None
        return keep_program(str(file))


@cache
def _keep(file: Path, _: int) -> str:
    name = f"{PROGRAM}{re.sub(r'[^A-Za-z0-9_]+', '_', file.stem)}-{hash_file(file)}"
    kept = find_file(name)
    if kept.is_file():
        return name
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            Path(shutil.copyfile(file, Path(folder) / kept.name)).replace(kept)
    except OSError as error:
        raise make_write_error(kept.parent, error) from None
    return name


def find_file(backbone: str) -> Path:
    """The file in which a program is kept, which may be missing."""
    return get_home() / "programs" / f"{backbone.removeprefix(PROGRAM)}{ENDING}"
