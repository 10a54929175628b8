"""Repositories of the tests' own."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def made(folder: Path) -> Path:
    """A repository with all that is in the folder in one commit, `base`."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "base")
    git(folder, "tag", "base")
    return folder


def left_over(project: Path) -> list[Path]:
    """What a gate left in the folder of temporary files."""
    return list((project.parent / "scratch").iterdir())
