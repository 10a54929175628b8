"""Git, as a process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.errors import UserError

#: Seconds that a measurement waits for git.
TIMEOUT_SECONDS = 5


def run_git(
    folder: Path, *arguments: str, variables: Mapping[str, str] | None = None, message: str | None = None
) -> str:
    """Run git in a folder, with additional environment variables, and return what it prints.

    Raises:
        UserError: git failed; it says `message`, or git's own last line.
        OSError: git is not installed.
    """
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **(variables or {})},
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",  # as in paths of this process
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise UserError(message or f"git {arguments[0]} failed: {last}")
    return done.stdout.strip()


def try_git(folder: Path, *arguments: str, timeout: float | None = TIMEOUT_SECONDS) -> str | None:
    """What git prints; None without git or a repository, where git fails, or after `timeout` seconds."""
    try:
        # Without optional locks, `git status` does not write the index, which another process may be using.
        command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=timeout,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
