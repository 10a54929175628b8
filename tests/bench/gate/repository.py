"""Helpers: git repositories for tests."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def make_repository(folder: Path) -> Path:
    """Make the folder a repository with all its files in one commit, `base`."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "base")
    git(folder, "tag", "base")
    return folder


def list_left_over(project: Path) -> list[Path]:
    """The files that a gate left in the folder for temporary files."""
    return list((project.parent / "scratch").iterdir())
