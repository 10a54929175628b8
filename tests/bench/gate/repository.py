"""Helpers: git repositories for tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """Run git without the user's configuration, and outside a hook that the tests may run in."""
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    how = ("-c", "protocol.file.allow=always", "-c", "gc.auto=0", "-c", "maintenance.auto=false")
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env = own | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *who, *how, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def make_repository(folder: Path) -> Path:
    """Make the folder a repository with all its files in one commit, `base`."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "base")
    git(folder, "tag", "base")
    return folder


def write_program(path: Path, text: str) -> None:
    """Write a shell script that can be started."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def read_hook_variables(folder: Path) -> dict[str, str]:
    """The variables that git sets for a hook of a linked worktree of a new repository in `folder`."""
    folder.mkdir()
    (folder / "file").touch()
    make_repository(folder)
    git(folder, "worktree", "add", "--quiet", str(folder / "linked"))
    write_program(folder / ".git/hooks/pre-commit", f"env -0 > {folder}/variables")
    git(folder / "linked", "commit", "--quiet", "--allow-empty", "--message", "more")
    lines = (folder / "variables").read_text().split("\0")
    variables = dict(line.split("=", 1) for line in lines if line.startswith("GIT_"))
    assert {"GIT_DIR", "GIT_INDEX_FILE"} <= variables.keys()
    return variables


def list_left_over(project: Path) -> list[Path]:
    """The files that a gate left in the folder for temporary files."""
    return list((project.parent / "scratch").iterdir())
