"""The sources of both arms: two folders with a revision's files each, and the interpreter that runs them.

Nothing of the repository is touched: its index and its objects are read, what has to be written goes to a scratch
folder, and no worktree is registered that a kill could leave behind. The folders' paths are of one length, for paths
are in the environment and on the stack, and move what is aligned to what.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError
from bench.home import home

#: The folder of each arm, in the scratch folder.
BASE, HEAD = "base", "head"
#: Without this a revision has no suite whose workers could be started.
WORKER = "bench/worker/__main__.py"
#: What a training step can depend on.
USED = ("backends", "bench", "pyproject.toml")


@dataclass(frozen=True)
class Source:
    """One arm: its files, which lie in the scratch folder, the interpreter for them, and what people call it."""

    root: Path
    python: Path
    name: str


def repository(folder: Path) -> Path:
    """The top folder of the repository that `folder` lies in.

    Raises:
        UserError: it lies in none, git is not installed, or a submodule is dirty.
    """
    if not shutil.which("git"):
        raise UserError("git is not installed, and the gate compares git revisions: install it")
    top = _git(folder, "rev-parse", "--show-toplevel", otherwise=f"{folder} is in no git repository: gate in a clone")
    for line in _git(folder, "status", "--porcelain=v2").splitlines():
        kind, _, rest = line.partition(" ")
        state = rest.split(" ", 2)[1] if kind in ("1", "2") else ""
        if state.startswith("S") and state != "S...":
            raise UserError(f"submodule {line.rsplit(' ', 1)[-1]} is dirty: commit or reset it")
    return Path(top)


def revision(top: Path, name: str) -> str:
    """The commit that `name` means.

    Raises:
        UserError: none, also because the clone is shallow; or a revision without this suite.
    """
    try:
        commit = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except UserError:
        if _git(top, "rev-parse", "--is-shallow-repository") == "true":
            raise UserError(
                f"unknown revision {name!r} in a shallow clone: fetch all of it (fetch-depth: 0, git fetch --unshallow)"
            ) from None
        raise UserError(f"unknown revision {name!r}: fetch it, or name a branch, tag or commit") from None
    if not _git(top, "ls-tree", "--name-only", commit, "--", WORKER):
        raise UserError(f"revision {name!r} has no {WORKER}: compare with one that has this suite")
    return commit


def check_out(top: Path, base: str, scratch: Path) -> tuple[str, str]:
    """Write the files of commit `base`, and those of the working tree as it is, into `scratch`; give both trees' ids.

    What git ignores is no part of the working tree.
    """
    objects = scratch / "objects"
    objects.mkdir()
    index = scratch / "index"
    variables = {
        "GIT_INDEX_FILE": str(index),
        "GIT_OBJECT_DIRECTORY": str(objects),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": _path(top, "objects"),
    }
    _git(top, "read-tree", base, variables=variables)
    _git(top, "checkout-index", "--all", f"--prefix={scratch / BASE}/", variables=variables)
    trees = [_git(top, "write-tree", variables=variables)]
    index.unlink()
    if (own := Path(_path(top, "index"))).is_file():
        shutil.copyfile(own, index)
    _git(top, "add", "--all", ".", variables=variables)
    _git(top, "checkout-index", "--all", f"--prefix={scratch / HEAD}/", variables=variables)
    trees.append(_git(top, "write-tree", variables=variables))
    return trees[0], trees[1]


def unchanged(scratch: Path) -> bool:
    """Whether nothing that a training step can depend on differs between the arms."""
    return all(_digest(scratch / BASE / used) == _digest(scratch / HEAD / used) for used in USED)


def compiled(source: Source) -> None:
    """Compile all byte code beforehand: in neither arm is a first import to compile."""
    command = [str(source.python), "-m", "compileall", "-q", *USED[:2]]
    subprocess.run(command, cwd=source.root, capture_output=True, check=False)


def interpreter(scratch: Path, given: Path | None, say: Callable[[str], object]) -> Path:
    """The interpreter for the base: this one, or, where its dependencies differ, one with an environment of its own.

    Args:
        scratch: with both arms' files.
        given: an environment to use in any case.
        say: told what takes long.

    Raises:
        UserError: `given` is no environment, or one cannot be made.
    """
    if given is not None:
        return _python_of(given)
    wanted = _dependencies(scratch / BASE)
    if wanted == _dependencies(scratch / HEAD):
        return Path(sys.executable)
    environment = home() / "environments" / hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]
    done = environment / "complete"
    if not done.is_file():
        say(f"The base has other dependencies: installing them into {environment}, once.")
        shutil.rmtree(environment, ignore_errors=True)
        extras = ",".join(name for name in wanted if name not in ("", "dev"))
        for command in (
            [sys.executable, "-m", "venv", str(environment)],
            [str(_python_of(environment, check=False)), "-m", "pip", "install", "--quiet", f".[{extras}]"],
        ):
            made = subprocess.run(command, cwd=scratch / BASE, capture_output=True, text=True, check=False)
            if made.returncode:
                last = (made.stderr.strip() or made.stdout.strip() or "no message").splitlines()[-1]
                raise UserError(f"the base's environment cannot be made ({last}): make one and give it as --base-env")
        done.touch()
    return _python_of(environment)


def _dependencies(root: Path) -> Mapping[str, list[str]]:
    """The dependencies of a project by extra; those of all are under the empty name."""
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    except (OSError, ValueError, KeyError):
        return {}
    return {"": project.get("dependencies", []), **project.get("optional-dependencies", {})}


def _python_of(environment: Path, check: bool = True) -> Path:
    python = environment.absolute() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if check and not python.is_file():
        raise UserError(f"{environment} is no environment: it has no {python.relative_to(environment.absolute())}")
    return python


def _digest(path: Path) -> str:
    """Of a file, or of all files in a folder with their names, but for byte code."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    found = hashlib.sha256()
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            found.update(f"{file.relative_to(path)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def _path(top: Path, name: str) -> str:
    return str((top / _git(top, "rev-parse", "--git-path", name)).absolute())


def _git(
    folder: Path, *arguments: str, variables: Mapping[str, str] | None = None, otherwise: str | None = None
) -> str:
    """What git prints; a failure is a `UserError` that says `otherwise`, or git's own last line."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **(variables or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise UserError(otherwise or f"git {arguments[0]} failed: {last}")
    return done.stdout.strip()
