"""A worker's failure is explained by what git leaves out of an arm's folder, and by nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.gate.missing_file import explain_missing_file
from bench.gate.source_trees import SourceTree
from tests.bench.gate.repository import git, make_repository

#: Files that git ignores.
IGNORED = (
    "src/package/_version.py",
    "src/package/kernels.cpython-311-x86_64-linux-gnu.so",
    "src/package/generated/grammar.py",
    "build/lib/package/_version.py",
    ".venv/lib/site-packages/other/__init__.py",
    "data/images.npz",
)


@pytest.fixture(scope="module")
def arm(tmp_path_factory) -> SourceTree:
    top = tmp_path_factory.mktemp("repository")
    (top / "top.py").touch()
    (top / ".gitignore").write_text("_version.py\n*.so\ngenerated/\nbuild/\n.venv/\ndata/\n")
    for name in IGNORED:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()
    return SourceTree(Path("/scratch/head"), Path(sys.executable), "the working tree", make_repository(top))


@pytest.mark.parametrize(
    ("line", "ignored"),
    [
        ("E   ModuleNotFoundError: No module named 'package._version'", IGNORED[0]),
        (
            "ImportError: cannot import name '_version' from 'package' (/scratch/head/src/package/__init__.py)",
            IGNORED[0],
        ),
        (
            "ImportError: cannot import name 'kernels' from partially initialized module 'package' (most likely",
            IGNORED[1],
        ),
        ("ModuleNotFoundError: No module named 'package.generated'", IGNORED[2]),
        ("/usr/bin/python: No module named package.generated.grammar", IGNORED[2]),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/scratch/head/data/images.npz'", IGNORED[5]),
        ("""OSError: cannot open "data/images.npz" """, IGNORED[5]),
        ("ModuleNotFoundError: No module named 'other'", None),
        ("ModuleNotFoundError: No module named 'top.inside'", None),
        ("ModuleNotFoundError: No module named 'version'", None),
        ("ValueError: 'src' is no value", None),
    ],
)
def test_an_ignored_file_is_named_if_the_worker_misses_it(arm, line, ignored):
    found = explain_missing_file(arm, ["before", line])
    assert (found.split(",")[0] if found else None) == (f"git ignores {ignored}" if ignored else None)


def test_a_submodule_without_files_is_named_if_a_module_is_missing(arm, tmp_path):
    git(tmp_path, "clone", "--quiet", str(arm.repository), "top")
    git(tmp_path / "top", "submodule", "add", "--quiet", str(arm.repository), "vendor/lib")
    git(tmp_path / "top", "commit", "--quiet", "--message", "with a submodule")
    git(tmp_path, "clone", "--quiet", "top", "clone")
    line = "ModuleNotFoundError: No module named 'lib'"
    without = SourceTree(arm.root, arm.python, arm.name, tmp_path / "clone")
    assert explain_missing_file(without, [line]) == "submodule vendor/lib has no files: git submodule update --init"
    git(tmp_path / "clone", "submodule", "update", "--quiet", "--init")
    assert explain_missing_file(without, [line]) is None
    assert explain_missing_file(SourceTree(arm.root, arm.python, arm.name), [line]) is None
