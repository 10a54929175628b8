"""The crash report: an unexpected error as one line, and its traceback in a file."""

from __future__ import annotations

import platform
import shlex
import sys
import tempfile
import traceback
from datetime import UTC, datetime


def report_crash(error: BaseException) -> str:
    """Write the traceback into a file in the folder for temporary files; returns the line about it.

    Without such a folder the traceback is part of what is returned.
    """
    what = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    text = _format_report(error)
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", errors="replace", prefix="head-to-head-error-", suffix=".txt", delete=False
        ) as file:
            file.write(text)
    except OSError as problem:
        return f"{text}bench: unexpected error: {what}: report it with the lines above ({problem.strerror or problem})"
    return f"bench: unexpected error: {what}: report it with the file {file.name}, which has the traceback"


def _format_report(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    command = shlex.join(sys.argv[1:])
    try:  # the file is sent to others
        from bench.records.private_paths import shorten_command, shorten_paths

        text, command = shorten_paths(text), shorten_command(sys.argv[1:])
    except Exception:
        pass  # a broken installation is reported, too
    lines = [
        f"command: bench {command}",
        f"time: {datetime.now(UTC).isoformat(timespec='seconds')}",
        f"Python: {platform.python_version()} on {platform.platform()}",
        "",
    ]
    return "\n".join(lines) + f"\n{text}"
