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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.cache.home import check_utf8
from bench.errors import UserError
from bench.machine.clone import WORKER_FILE
from bench.machine.git import GitError, NotFetched, run_git
from bench.records.digest import compute_digest

#: The folder of each arm, in the scratch folder.
BASE, HEAD = "base", "head"
#: The index that git works with, and the folder of the objects that it writes, in the scratch folder.
INDEX, OBJECTS = "index", "objects"
#: How many blanks precede the path in an entry of `git status --porcelain=v2`, by kind: changed and unmerged.
STATUS_FIELDS = {"1": 8, "u": 10}
#: The mode of a submodule in an index.
SUBMODULE_MODE = "160000 "
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
        repository: the top folder of the working tree; None if a missing file of it is not explained.
    """

    root: Path
    python: Path
    name: str
    repository: Path | None = None


def find_repository(folder: Path) -> Path:
    """Find the top folder of the repository that contains `folder`.

    Raises:
        UserError: there is none or it is bare, git is not installed or does not trust the repository, a merge is not
            finished, or a submodule is dirty.
    """
    if run_git(folder, "rev-parse", "--is-inside-work-tree") != "true":
        raise UserError(f"{folder} is in a bare repository, which has no working tree: use a clone")
    top = Path(run_git(folder, "rev-parse", "--show-toplevel"))
    # To find renames, git would read content, which a partial clone may have to fetch.
    options = ("--porcelain=v2", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=none")
    for entry in run_git(top, "status", *options).split("\0"):
        kind = entry[:1]
        if kind not in STATUS_FIELDS:
            continue
        _, state, submodule, *_, path = entry.split(" ", STATUS_FIELDS[kind])
        if kind == "u":
            raise UserError(f"{path} has a merge conflict ({state}): resolve it, and `git add` the file")
        if submodule.startswith("S") and submodule != "S...":
            raise UserError(f"submodule {path} is dirty: commit or reset it")
    check_utf8(top, "move the repository")
    return top


def resolve_revision(top: Path, name: str, needed: str = WORKER_FILE) -> str:
    """Resolve a branch, tag or commit to its commit.

    Args:
        top: top folder of the repository.
        name: the revision.
        needed: path of a file that the revision has to contain.

    Raises:
        UserError: no such revision (also if the clone is shallow), or it lacks the file.
    """
    if name.startswith("-"):  # git would take it for an option
        raise UserError(f"unknown revision {name!r}: name a branch, tag or commit")
    try:
        commit = run_git(top, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except NotFetched:
        raise
    except GitError:
        raise UserError(f"unknown revision {name!r}{_advise_fetch(top, name)}") from None
    if not run_git(top, "ls-tree", "--name-only", commit, "--", needed):
        what = "this suite" if needed == WORKER_FILE else "it"
        raise UserError(f"cannot compare: revision {name!r} has no {needed}: compare with one that has {what}")
    return commit


def _advise_fetch(top: Path, name: str) -> str:
    """What to do about a revision that the repository does not have.

    Raises:
        UserError: it has no commit at all.
    """
    run_git(top, "rev-list", "--max-count=1", "HEAD")
    remote, _, branch = name.partition("/")
    of_remote = branch and remote in run_git(top, "remote").splitlines()
    fetch = f"git fetch {remote} {branch}:refs/remotes/{name}" if of_remote else None
    if run_git(top, "rev-parse", "--is-shallow-repository") == "true":
        only = f", or only this one ({fetch})" if fetch else ""
        return f" in a shallow clone: fetch all (fetch-depth: 0, or git fetch --unshallow){only}"
    return f": fetch it ({fetch})" if fetch else ": fetch it, or name a branch, tag or commit"


def check_out(top: Path, base: str | None, scratch: Path) -> tuple[str, str]:
    """Write the files of commit `base` and those of the working tree into `scratch`; return the ids of both trees.

    Without a base both arms get the working tree. Git writes both from trees, so that both get the same treatment of
    line ends, filters and sparse folders. Files that git ignores are left out.

    Raises:
        UserError: git cannot read a file, or cannot fetch an object that this clone lacks.
    """
    (scratch / OBJECTS).mkdir()
    head_tree = _store_working_tree(top, scratch)
    base_tree = head_tree if base is None else run_git(top, "rev-parse", f"{base}^{{tree}}")
    for arm, tree in ((BASE, base_tree), (HEAD, head_tree)):
        _write_tree(top, tree, scratch / arm, scratch)
    return base_tree, head_tree


def _store_working_tree(top: Path, scratch: Path) -> str:
    """Store a working tree's files in git objects in the scratch folder; return the id of their tree."""
    index = scratch / INDEX
    if (own_index := _find_git_path(top, "index")).is_file():
        # With its time: git reads the files again that are not older than the index.
        shutil.copy2(own_index, index)
    variables = {"GIT_INDEX_FILE": str(index), **_list_object_folders(top, scratch)}
    _clear_marks(top, top, variables)
    listed = run_git(
        top, "ls-files", "--modified", "--deleted", "--others", "--exclude-standard", "-z", variables=variables
    )
    # Another repository in the working tree is listed as a folder, with a slash at the end.
    changed = [path for path in listed.split("\0") if path and not path.endswith("/")]
    present = [path for path in changed if _has_file(top, path)]
    gone = set(changed).difference(present)
    for paths, how in ((gone, ("--force-remove",)), (present, ("--add", "--replace"))):
        run_git(top, "update-index", *how, "-z", "--stdin", variables=variables, stdin="\0".join(paths))
    return run_git(top, "write-tree", variables=variables)


def _has_file(top: Path, path: str) -> bool:
    """Whether a working tree has a file, and not a folder in its place or a link in place of a folder above it."""
    file = top / path
    is_below_link = any((top / folder).is_symlink() for folder in Path(path).parents[:-1])
    return (file.is_symlink() or file.is_file()) and not is_below_link


def _clear_marks(top: Path, folder: Path, variables: Mapping[str, str]) -> list[str]:
    """Clear the marks in an index with which git overlooks files, where the working tree `top` has the file.

    The marks are --skip-worktree, also of what a sparse checkout leaves out, and --assume-unchanged. Returns the paths.
    """
    listed = run_git(folder, "ls-files", "-v", "-z", variables=variables).split("\0")
    entries = (entry.partition(" ") for entry in listed)
    present = [path for mark, _, path in entries if (mark == "S" or mark.islower()) and os.path.lexists(top / path)]
    for mark in ("--no-skip-worktree", "--no-assume-unchanged") if present else ():
        run_git(folder, "update-index", mark, "-z", "--stdin", variables=variables, stdin="\0".join(present))
    return present


def _write_tree(repository: Path, tree: str, folder: Path, scratch: Path) -> None:
    """Write the files of a tree into a folder, as a checkout does, and those of its submodules that are initialised."""
    folder.mkdir(exist_ok=True)
    (scratch / INDEX).unlink(missing_ok=True)
    variables = {
        "GIT_DIR": run_git(repository, "rev-parse", "--absolute-git-dir"),
        "GIT_WORK_TREE": str(folder),
        "GIT_INDEX_FILE": str(scratch / INDEX),
        **_list_object_folders(repository, scratch),
    }
    run_git(folder, "read-tree", "-m", "-u", tree, variables=variables)
    # A sparse checkout leaves out folders. The working tree may have files in them all the same.
    if present := _clear_marks(repository, folder, variables):
        run_git(folder, "checkout-index", "-z", "--stdin", variables=variables, stdin="\0".join(present))
    for path, commit in list_submodules(folder, variables):
        if is_initialised(repository / path):
            try:
                _write_tree(repository / path, commit, folder / path, scratch)
            except GitError as error:
                raise UserError(f"submodule {path} at commit {commit[:7]}: {error}: git -C {path} fetch") from None


def list_submodules(folder: Path, variables: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """List the paths and commits of the submodules in the index of a repository.

    Args:
        folder: the repository's top folder.
        variables: choose another index.
    """
    listed = run_git(folder, "ls-files", "--stage", "-z", variables=variables).split("\0")
    entries = (entry.partition("\t") for entry in listed)  # mode commit stage<TAB>path
    return [(path, about.split(" ")[1]) for about, _, path in entries if about.startswith(SUBMODULE_MODE)]


def is_initialised(submodule: Path) -> bool:
    """Whether a submodule has files."""
    return (submodule / ".git").exists()


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


def _list_object_folders(repository: Path, scratch: Path) -> dict[str, str]:
    """The variables with which git reads a repository's objects, and writes new ones into the scratch folder."""
    objects = str(_find_git_path(repository, "objects")).replace("\\", r"\\").replace('"', r"\"")
    return {"GIT_OBJECT_DIRECTORY": str(scratch / OBJECTS), "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{objects}"'}


def _find_git_path(repository: Path, name: str) -> Path:
    return (repository / run_git(repository, "rev-parse", "--git-path", name)).absolute()
