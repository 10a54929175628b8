"""A file that an arm lacks although the working tree has it: git ignores it, or it belongs to a submodule."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.gate.source_trees import SourceTree, is_initialised, list_submodules
from bench.machine.git import run_git

#: What Python and other programs print about a module or a file that they do not find.
MISSING_MODULE = re.compile(r"No module named '?([\w.]+)")
MISSING_NAME = re.compile(r"cannot import name '(\w+)' from (?:partially initialized module )?'([\w.]+)'")
QUOTED = re.compile(r"""'([^'\n]+)'|"([^"\n]+)\"""")
#: Folders whose files are copies of others.
COPIES = {"__pycache__", "site-packages"}


def explain_missing_file(source: SourceTree, lines: Iterable[str]) -> str | None:
    """Explain why an arm lacks a file of the working tree, and what to do; None if that is not why its worker failed.

    Args:
        source: the arm.
        lines: what its worker printed.
    """
    text = "\n".join(lines)
    modules = MISSING_MODULE.findall(text) + [f"{package}.{name}" for name, package in MISSING_NAME.findall(text)]
    paths = {(one or two).removeprefix(f"{source.root}{os.sep}") for one, two in QUOTED.findall(text)}
    if source.repository is None:
        return None
    listed = run_git(source.repository, "ls-files", "--others", "--ignored", "--exclude-standard", "-z").split("\0")
    missing = [
        path for path in listed if path in paths or any(_defines(Path(path), name.split(".")) for name in modules)
    ]
    if missing:
        return (
            f"git ignores {min(missing, key=len)}, so that no revision's folder has it: commit it to both revisions, "
            "or let the code do without it"
        )
    for path, _ in list_submodules(source.repository) if modules else ():
        if not is_initialised(source.repository / path):
            return f"submodule {path} has no files: git submodule update --init"
    return None


def _defines(path: Path, module: Sequence[str]) -> bool:
    """Whether a file defines a module, or lies in the module's folder, if imports start at one of its parents."""
    parts = [*path.parent.parts, path.name.partition(".")[0]]
    at_each_parent = (parts[start : start + len(module)] == module for start in range(len(parts)))
    return not COPIES.intersection(parts) and any(at_each_parent)
