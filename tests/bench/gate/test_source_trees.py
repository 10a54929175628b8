"""The files of both arms, from repositories of every kind, with real git; and what cannot be compared."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.gate import source_trees
from bench.gate.source_trees import BASE, HEAD
from tests.bench.gate.repository import git, make_repository, read_hook_variables

FILES = {"a/x.py": "x = 1\n", "b/y.py": "y = 1\n", "c/z.py": "z = 1\n", "top.py": "t = 1\n"}
#: The file that a revision needs.
NEEDED = "top.py"


def write_files(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def read_files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes().decode() for path in found}


def list_times(folder: Path) -> dict[Path, int]:
    """Every file and folder with its time. Git renews the time of an object that it would write again."""
    return {path: path.lstat().st_mtime_ns * ("objects" not in path.parts) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A repository with `FILES` in its commit `base`; read-only."""
    return make_repository(write_files(tmp_path_factory.mktemp("original") / "repository", FILES))


@pytest.fixture
def repository(original, tmp_path) -> Path:
    """A copy of it, to change."""
    shutil.copytree(original, tmp_path / "repository")
    git(tmp_path / "repository", "update-index", "--refresh")
    return tmp_path / "repository"


@pytest.fixture
def check_out(tmp_path):
    """Writes both arms, as a gate does; returns the files of the base and of the head, and whether the trees differ."""

    def run(folder: Path, against: str | None = "base") -> tuple[dict[str, str], dict[str, str], bool]:
        scratch = tmp_path / f"scratch{time.monotonic_ns()}"
        scratch.mkdir()
        before = list_times(folder)
        top = source_trees.find_repository(folder)
        commit = source_trees.resolve_revision(top, against, NEEDED) if against else None
        base, head = source_trees.check_out(top, commit, scratch)
        assert list_times(folder) == before, "the repository stays untouched"
        return read_files(scratch / BASE), read_files(scratch / HEAD), base != head

    return run


@pytest.fixture
def error_of(check_out):
    """As `check_out`, for what has to be refused; returns the line."""

    def run(folder: Path, against: str = "base") -> str:
        with pytest.raises(UserError) as raised:
            check_out(folder, against)
        return str(raised.value)

    return run


def test_changes_of_every_kind_are_in_the_head(repository, check_out):
    assert check_out(repository) == (FILES, FILES, False)
    assert check_out(repository, None) == (FILES, FILES, False)
    write_files(
        repository, {"a/x.py": "x = 2\n", 'new\nline "q".py': "n", os.fsdecode(b"\xff.py"): "b", "later.py": "l"}
    )
    git(repository, "add", "--intent-to-add", "later.py")
    shutil.rmtree(repository / "b")
    write_files(repository, {"b": "a file now"})
    (repository / "top.py").unlink()
    write_files(repository, {"top.py/inside.py": "i"})
    shutil.rmtree(repository / "c")
    (repository / "c").symlink_to("a")
    (repository / "another").mkdir()
    git(repository / "another", "init", "--quiet")  # another repository: its files are not this one's
    # The link `c` points to a folder, whose files are not listed twice.
    expected = {"a/x.py": "x = 2\n", 'new\nline "q".py': "n", os.fsdecode(b"\xff.py"): "b", "later.py": "l"}
    assert check_out(repository) == (FILES, expected | {"b": "a file now", "top.py/inside.py": "i"}, True)


def test_a_change_in_the_second_of_the_index_is_in_the_head(repository, check_out):
    """Git reads a file again that is not older than the index, in seconds; a copy of the index has to keep its time."""
    file, second = repository / "a/x.py", (time.time_ns() - 10**10,) * 2
    git(repository, "config", "core.trustctime", "false")
    os.utime(file, ns=second)
    git(repository, "update-index", "--refresh")
    file.write_text("x = 2\n")
    os.utime(file, ns=second)
    os.utime(repository / ".git/index", ns=second)
    assert check_out(repository)[1]["a/x.py"] == "x = 2\n"


def test_marks_that_hide_a_change_hide_it_from_git_only(repository, check_out):
    git(repository, "update-index", "--skip-worktree", "a/x.py")
    git(repository, "update-index", "--assume-unchanged", "b/y.py")
    changed = {"a/x.py": "x = 2\n", "b/y.py": "y = 2\n"}
    write_files(repository, changed)
    assert check_out(repository) == (FILES, FILES | changed, True)


@pytest.mark.parametrize("index", ["--no-sparse-index", "--sparse-index"])
def test_both_arms_of_a_sparse_checkout_have_its_folders(repository, check_out, index):
    git(repository, "sparse-checkout", "set", "--cone", index, "a")
    of_cone = {name: FILES[name] for name in ("a/x.py", "top.py")}
    assert check_out(repository) == (of_cone, of_cone, False)
    # Files outside of these folders that are there all the same.
    more = {"b/y.py": "y = 2\n", "b/new.py": "n", "a/x.py": "x = 2\n"}
    write_files(repository, more)
    assert check_out(repository) == (of_cone | {"b/y.py": FILES["b/y.py"]}, of_cone | more, True)


def test_linked_worktrees_of_bare_repositories_and_odd_folders(original, tmp_path, check_out, error_of):
    odd = os.fsdecode(b'o"d:d \xff\\ ')
    bare = tmp_path / odd
    git(tmp_path, "clone", "--quiet", "--bare", str(original), str(bare))
    assert "is in a bare repository, which has no working tree: use a clone" in error_of(bare)
    git(bare, "worktree", "add", "--quiet", str(tmp_path / "linked"), "base")
    write_files(tmp_path / "linked", {"a/x.py": "x = 2\n"})
    assert check_out(tmp_path / "linked") == (FILES, FILES | {"a/x.py": "x = 2\n"}, True)


def test_a_repository_with_longer_hashes(tmp_path, check_out):
    git(tmp_path, "init", "--quiet", "--object-format=sha256", "long")
    folder = make_repository(write_files(tmp_path / "long", FILES))
    write_files(folder, {"a/x.py": "x = 2\n"})
    assert check_out(folder) == (FILES, FILES | {"a/x.py": "x = 2\n"}, True)


def test_line_ends_and_filters_are_the_same_in_both_arms(repository, check_out, error_of, monkeypatch, tmp_path):
    (tmp_path / "config").write_text("[core]\nautocrlf = true\nsafecrlf = true\nsplitIndex = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    write_files(repository, {"b/y.py": "y = 2\r\n", "top.py": FILES["top.py"]})
    with_ends = {name: text.replace("\n", "\r\n") for name, text in FILES.items()}
    assert check_out(repository) == (with_ends, with_ends | {"b/y.py": "y = 2\r\n"}, True)
    git(repository, "config", "filter.capital.smudge", "tr a-z A-Z")
    git(repository, "config", "filter.capital.clean", "tr A-Z a-z")
    (repository / ".git/info/attributes").write_text("a/* filter=capital\n")
    write_files(repository, {"a/x.py": "X = 2\n"})
    base, head, _ = check_out(repository)
    assert (base["a/x.py"], head["a/x.py"]) == ("X = 1\r\n", "X = 2\r\n")
    git(repository, "config", "filter.capital.required", "true")
    git(repository, "config", "filter.capital.clean", "no-such-filter")
    assert "cannot run no-such-filter: No such file or directory" in error_of(repository)


def test_a_gate_in_a_hook_of_another_repository(repository, tmp_path, check_out, monkeypatch):
    for name, value in read_hook_variables(tmp_path / "other").items():
        monkeypatch.setenv(name, value)
    before = list_times(tmp_path / "other")
    write_files(repository, {"a/x.py": "x = 2\n"})
    assert check_out(repository) == (FILES, FILES | {"a/x.py": "x = 2\n"}, True)
    assert list_times(tmp_path / "other") == before


def test_a_merge_that_is_not_finished_is_refused(repository, error_of):
    for branch in ("one", "other"):
        git(repository, "switch", "--quiet", "--create", branch, "base")
        write_files(repository, {"a/x.py": f"x = '{branch}'\n"})
        git(repository, "commit", "--quiet", "--all", "--message", branch)
    with pytest.raises(Exception, match="merge"):
        git(repository, "merge", "one")
    assert error_of(repository) == "a/x.py has a merge conflict (UU): resolve it, and `git add` the file"


def test_files_of_submodules_are_in_both_arms(repository, original, tmp_path, check_out, error_of):
    git(repository, "submodule", "add", "--quiet", str(original), "vendor/lib")
    git(repository, "commit", "--quiet", "--message", "with a submodule")
    git(repository, "config", "submodule.recurse", "true")
    git(repository, "config", "diff.ignoreSubmodules", "all")
    base, head, differ = check_out(repository, "HEAD")
    assert (base, differ) == (head, False)
    assert {name: text for name, text in head.items() if name.startswith("vendor")} == {
        f"vendor/lib/{name}": text for name, text in FILES.items()
    }
    git(repository, "update-index", "--cacheinfo", f"160000,{'a' * 40},vendor/lib")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "with a commit that was not pushed")
    git(repository, "reset", "--quiet", "HEAD~1")
    assert error_of(repository, "HEAD@{1}").startswith("submodule vendor/lib at commit aaaaaaa: ")
    write_files(repository, {"vendor/lib/new.py": "n = 1\n"})
    assert error_of(repository) == "submodule vendor/lib is dirty: commit or reset it"


def test_what_a_partial_clone_lacks_is_fetched_into_the_scratch_folder(repository, tmp_path, check_out, error_of):
    git(repository, "config", "uploadpack.allowFilter", "true")
    git(repository, "config", "uploadpack.allowAnySHA1InWant", "true")
    write_files(repository, {"a/x.py": "x = 2\n"})
    git(repository, "commit", "--quiet", "--all", "--message", "newer")
    partial = tmp_path / "partial"
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", f"file://{repository}", str(partial))
    assert check_out(partial) == (FILES, FILES | {"a/x.py": "x = 2\n"}, True)
    repository.rename(tmp_path / "offline")
    line = error_of(partial)
    assert line.startswith("this is a partial clone, and git cannot fetch what it lacks ('/")
    assert line.endswith("connect to its remote, or make it complete there: git fetch --refetch --no-filter")
    (tmp_path / "offline").rename(repository)
    git(partial, "fetch", "--refetch", "--no-filter")
    repository.rename(tmp_path / "offline")
    assert check_out(partial) == (FILES, FILES | {"a/x.py": "x = 2\n"}, True)


def test_a_revision_that_is_not_there_comes_with_the_command_that_fetches_it(repository, tmp_path, error_of):
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "newer")
    git(repository, "branch", "topic", "base")
    shallow, single = tmp_path / "shallow", tmp_path / "single"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", str(shallow))
    git(tmp_path, "clone", "--quiet", "--single-branch", f"file://{repository}", str(single))
    whole = "in a shallow clone: fetch all (fetch-depth: 0, or git fetch --unshallow)"
    assert error_of(shallow, "HEAD~1") == f"unknown revision 'HEAD~1' {whole}"
    fetch = "git fetch origin topic:refs/remotes/origin/topic"
    assert error_of(shallow, "origin/topic") == f"unknown revision 'origin/topic' {whole}, or only this one ({fetch})"
    assert error_of(single, "origin/topic") == f"unknown revision 'origin/topic': fetch it ({fetch})"
    git(single, *fetch.split()[1:])
    assert source_trees.resolve_revision(single, "origin/topic", NEEDED) == git(repository, "rev-parse", "base")
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "--quiet")
    assert error_of(tmp_path / "empty", "HEAD").endswith("has no commit yet: commit its files")


def test_arms_with_any_file_names_are_compared(tmp_path):
    for arm in (BASE, HEAD):
        write_files(tmp_path / arm, {os.fsdecode(b"bench/\xff.py"): "b", "backends/a.py": "a", "pyproject.toml": "p"})
    assert source_trees.is_unchanged(tmp_path)
    write_files(tmp_path / HEAD, {os.fsdecode(b"bench/\xfe.py"): "c"})
    assert not source_trees.is_unchanged(tmp_path)
