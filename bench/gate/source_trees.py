"""The source trees of both arms: a folder with the files of the base, and one with those of the head.

The arms are the two sides of a comparison: the base, and the head, which is the working tree. The repository stays
untouched: its index and objects are only read, all writing is done in a scratch folder, and no worktree is registered
that a killed gate could leave behind. The paths of both folders have the same length, because paths are in the
environment and on the stack, so that their length shifts the alignment of memory.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.cache.home import check_utf8
from bench.errors import UserError
from bench.machine.git import run_git
from bench.records.digest import compute_digest

#: The folder of each arm, in the scratch folder.
BASE, HEAD = "base", "head"
#: A revision without this file has no workers that could be started.
WORKER_FILE = "bench/worker/__main__.py"
#: The files and folders that a training step can depend on.
TRAINING_PATHS = ("backends", "bench", "pyproject.toml")
#: Lists the backends and the tasks of a suite. It is run by a revision's own interpreter, with the suite's name.
LIST_CASES_CODE = """
import json, os, sys
import backends
if os.path.isfile("bench/plan/suite.py"):
    from bench.plan import suite
else:  # a revision from before this folder
    from bench import suite
print(json.dumps([list(backends.REGISTRY), [entry.task for entry in suite.load(sys.argv[1]).entries]]))
"""


@dataclass(frozen=True)
class SourceTree:
    """The source tree of one arm.

    Attributes:
        root: folder with its files, in the scratch folder.
        python: the interpreter for them.
        name: the arm's name in messages.
    """

    root: Path
    python: Path
    name: str


def find_repository(folder: Path) -> Path:
    """Find the top folder of the repository that contains `folder`.

    Raises:
        UserError: there is none, git is not installed, or a submodule is dirty.
    """
    if not shutil.which("git"):
        raise UserError("git is not installed, and the gate compares git revisions: install it")
    top = run_git(folder, "rev-parse", "--show-toplevel", message=f"{folder} is in no git repository: gate in a clone")
    for line in run_git(folder, "status", "--porcelain=v2").splitlines():
        kind, _, rest = line.partition(" ")
        state = rest.split(" ", 2)[1] if kind in ("1", "2") else ""
        if state.startswith("S") and state != "S...":
            raise UserError(f"submodule {line.rsplit(' ', 1)[-1]} is dirty: commit or reset it")
    check_utf8(Path(top), "move the repository")
    return Path(top)


def resolve_revision(top: Path, name: str, needed: str = WORKER_FILE) -> str:
    """Resolve a branch, tag or commit to its commit.

    Args:
        top: top folder of the repository.
        name: the revision.
        needed: path of a file that the revision has to contain.

    Raises:
        UserError: no such revision (also if the clone is shallow), or it lacks the file.
    """
    try:
        commit = run_git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except UserError:
        if run_git(top, "rev-parse", "--is-shallow-repository") == "true":
            raise UserError(
                f"unknown revision {name!r} in a shallow clone: fetch all (fetch-depth: 0, or git fetch --unshallow)"
            ) from None
        raise UserError(f"unknown revision {name!r}: fetch it, or name a branch, tag or commit") from None
    if not run_git(top, "ls-tree", "--name-only", commit, "--", needed):
        what = "this suite" if needed == WORKER_FILE else "it"
        raise UserError(f"cannot compare: revision {name!r} has no {needed}: compare with one that has {what}")
    return commit


def check_out(top: Path, base: str | None, scratch: Path) -> tuple[str, str]:
    """Write the files of commit `base` and those of the working tree into `scratch`; return the ids of both trees.

    Without a base both arms get the working tree. Files that git ignores are left out.
    """
    objects = scratch / "objects"
    objects.mkdir()
    index = scratch / "index"
    variables = {
        "GIT_INDEX_FILE": str(index),
        "GIT_OBJECT_DIRECTORY": str(objects),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": _find_git_path(top, "objects"),
    }

    def write(arm: str) -> str:
        run_git(top, "checkout-index", "--all", f"--prefix={scratch / arm}/", variables=variables)
        return run_git(top, "write-tree", variables=variables)

    if base is not None:
        run_git(top, "read-tree", base, variables=variables)
        base_tree = write(BASE)
        index.unlink()
    if (own_index := Path(_find_git_path(top, "index"))).is_file():
        shutil.copyfile(own_index, index)
    run_git(top, "add", "--all", ".", variables=variables)
    return write(BASE) if base is None else base_tree, write(HEAD)


def is_unchanged(scratch: Path) -> bool:
    """Whether all files that a training step can depend on are the same in both arms."""
    return all(
        compute_digest(scratch / BASE / path) == compute_digest(scratch / HEAD / path) for path in TRAINING_PATHS
    )


def compile_byte_code(source: SourceTree, *folders: str) -> None:
    """Compile all byte code in advance, so that the first import compiles nothing in either arm."""
    command = [str(source.python), "-m", "compileall", "-q", *(folders or TRAINING_PATHS[:2])]
    subprocess.run(command, cwd=source.root, capture_output=True, check=False)


def list_cases(source: SourceTree, suite: str) -> set[tuple[str, str]] | None:
    """List the cases of a suite as (backend, task), by the source tree's own code; None if that fails."""
    done = subprocess.run(
        [str(source.python), "-P", "-c", LIST_CASES_CODE, suite],
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


def _find_git_path(top: Path, name: str) -> str:
    return str((top / run_git(top, "rev-parse", "--git-path", name)).absolute())
