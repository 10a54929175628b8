"""Texts without what is private: records and reports are published, and a path may have the name of a person.

Of a path only the last part stays, and of the home folder, whose last part is a user's name, only `~`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: The folders of the system's own files, which are no secret and have to be named: /dev/shm.
_SYSTEM = "dev|proc|sys"
#: In prose: the folders of an absolute path, or of one that begins with `~`, `.` or `..`.
_FOLDERS = re.compile(rf"(?<![\w/-])(?:~[\w.-]*|\.\.?|…)?/(?!(?:{_SYSTEM})/)(?:[^/\s:;,='\"()<>|]+/)+")
#: The same behind a quotation mark, with which a path may have blanks.
_QUOTED_FOLDERS = re.compile(rf"(?<=['\"])(?:~|\.\.?|…)?/(?!(?:{_SYSTEM})/)(?:[^/'\"\n]+/)+")
#: Homes of any user: the one that a program runs as may be another.
_HOMES = re.compile(r"(?<![\w.~…-])/(?:home|Users)/[^/\s:;,='\"()<>|]+")
_PACKAGES = re.compile(r"[^\s'\"]*/(?:site|dist)-packages/")
#: In a list of paths or options: what separates two items. A blank within a path separates nothing.
_SEPARATORS = re.compile(r"([:;,]|\s(?=[-/~]))")
#: An item that is a path, behind the name of an option.
_PATH_ITEM = re.compile(r"(?P<option>[^/~]*=)?(?P<path>(?:~|\.\.?)?/.*)", re.S)
_SOURCE = re.compile(r"(file|folder) (.*/)")


def shorten_path(path: str) -> str:
    """A path with its last part only; a relative path without `..` stays as it is."""
    path = _hide_home(path)
    if path == "~" or not (path.startswith(("/", "~")) or ".." in Path(path).parts):
        return path
    last = path.rstrip("/").rpartition("/")[2]
    return f"…/{last}" if last else path


def shorten_list(text: str) -> str:
    """A list of paths or options, as environment variables hold, with the last part of each path only."""
    return "".join(map(_shorten_item, _SEPARATORS.split(text)))


def shorten_command(arguments: Sequence[str]) -> str:
    """A command line that can be copied into a shell, with the last part of each path only."""
    return shlex.join(map(_shorten_item, arguments))


def shorten_source(text: str) -> str:
    """Where images or weights come from (`folder PATH`, `file PATH`, …), with the path's last part only."""
    return shorten_paths(_SOURCE.sub(r"\1 …/", text, count=1) if _SOURCE.match(text) else text)


def shorten_paths(text: str) -> str:
    """Prose, as an error's message or a traceback, with the last part of each path only.

    Paths within this project or an installed package keep their part below it. Bytes that are not UTF-8 are replaced.
    """
    project = f"{Path(__file__).resolve().parents[2]}/"
    text = _hide_home(text.replace(project, "")).encode(errors="replace").decode()
    return _FOLDERS.sub("…/", _QUOTED_FOLDERS.sub("…/", _PACKAGES.sub("", text)))


def shorten_all(content: Any) -> Any:
    """JSON-ready content with `shorten_paths` applied to all of its texts."""
    if isinstance(content, str):
        return shorten_paths(content)
    if isinstance(content, dict):
        return {key: shorten_all(value) for key, value in content.items()}
    return [shorten_all(value) for value in content] if isinstance(content, (list, tuple)) else content


def _shorten_item(text: str) -> str:
    found = _PATH_ITEM.fullmatch(text)
    short = f"{found['option'] or ''}{shorten_path(found['path'])}" if found else text
    return short.encode(errors="replace").decode()


def _hide_home(text: str) -> str:
    home = (os.environ.get("HOME") or "").rstrip("/")
    if home:  # the root is the home of users that have none
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    return _HOMES.sub("~", text)
