"""The sources of both arms: two folders with a revision's files each.

Nothing of the repository is touched: its index and its objects are read, what has to be written goes to a scratch
folder, and no worktree is registered that a kill could leave behind. The folders' paths are of one length, for paths
are in the environment and on the stack, and move what is aligned to what.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError
from bench.records.digest import digest

#: The folder of each arm, in the scratch folder.
BASE, HEAD = "base", "head"
#: Without this a revision has no suite whose workers could be started.
WORKER = "bench/worker/__main__.py"
#: What a training step can depend on.
USED = ("backends", "bench", "pyproject.toml")
#: Run by a revision's own interpreter, with the name of a suite.
CASES = """
import json, sys
import backends
try:
    from bench.plan import suite
except ImportError:  # a revision from before `bench.plan`
    from bench import suite
print(json.dumps([list(backends.REGISTRY), [entry.task for entry in suite.load(sys.argv[1]).entries]]))
"""


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
    top = git(folder, "rev-parse", "--show-toplevel", otherwise=f"{folder} is in no git repository: gate in a clone")
    for line in git(folder, "status", "--porcelain=v2").splitlines():
        kind, _, rest = line.partition(" ")
        state = rest.split(" ", 2)[1] if kind in ("1", "2") else ""
        if state.startswith("S") and state != "S...":
            raise UserError(f"submodule {line.rsplit(' ', 1)[-1]} is dirty: commit or reset it")
    return Path(top)


def revision(top: Path, name: str, needed: str = WORKER) -> str:
    """The commit that `name` means.

    Raises:
        UserError: none, also because the clone is shallow; or a revision without the file `needed`.
    """
    try:
        commit = git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except UserError:
        if git(top, "rev-parse", "--is-shallow-repository") == "true":
            raise UserError(
                f"unknown revision {name!r} in a shallow clone: fetch all of it (fetch-depth: 0, git fetch --unshallow)"
            ) from None
        raise UserError(f"unknown revision {name!r}: fetch it, or name a branch, tag or commit") from None
    if not git(top, "ls-tree", "--name-only", commit, "--", needed):
        what = "this suite" if needed == WORKER else "it"
        raise UserError(f"cannot compare: revision {name!r} has no {needed}: compare with one that has {what}")
    return commit


def check_out(top: Path, base: str | None, scratch: Path) -> tuple[str, str]:
    """Write the files of commit `base`, and those of the working tree as it is, into `scratch`; give both trees' ids.

    Without a base both arms get the working tree. What git ignores is no part of it.
    """
    objects = scratch / "objects"
    objects.mkdir()
    index = scratch / "index"
    variables = {
        "GIT_INDEX_FILE": str(index),
        "GIT_OBJECT_DIRECTORY": str(objects),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": _path(top, "objects"),
    }

    def write(arm: str) -> str:
        git(top, "checkout-index", "--all", f"--prefix={scratch / arm}/", variables=variables)
        return git(top, "write-tree", variables=variables)

    if base is not None:
        git(top, "read-tree", base, variables=variables)
        of_base = write(BASE)
        index.unlink()
    if (own := Path(_path(top, "index"))).is_file():
        shutil.copyfile(own, index)
    git(top, "add", "--all", ".", variables=variables)
    return write(BASE) if base is None else of_base, write(HEAD)


def unchanged(scratch: Path) -> bool:
    """Whether nothing that a training step can depend on differs between the arms."""
    return all(digest(scratch / BASE / used) == digest(scratch / HEAD / used) for used in USED)


def compiled(source: Source, *folders: str) -> None:
    """Compile all byte code beforehand: in neither arm is a first import to compile."""
    command = [str(source.python), "-m", "compileall", "-q", *(folders or USED[:2])]
    subprocess.run(command, cwd=source.root, capture_output=True, check=False)


def cases(source: Source, suite: str) -> set[tuple[str, str]] | None:
    """The cases of a suite, as (backend, task), by the source's own word; None where it does not say."""
    done = subprocess.run(
        [str(source.python), "-P", "-c", CASES, suite],
        cwd=source.root,
        env={**os.environ, "PYTHONPATH": str(source.root), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return None
    backends, tasks = json.loads(done.stdout)
    return {(backend, task) for backend in backends for task in tasks}


def _path(top: Path, name: str) -> str:
    return str((top / git(top, "rev-parse", "--git-path", name)).absolute())


def git(folder: Path, *arguments: str, variables: Mapping[str, str] | None = None, otherwise: str | None = None) -> str:
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
