"""What is kept in the home beside features: decoded images, exported networks and programs, with their sizes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.cache.features import Entry
from bench.cache.home import find_files, get_home

#: The folders in the home, and the names of what can be made again, by what it is.
KEPT: Mapping[str, tuple[tuple[str, str], ...]] = {
    "images": (("images", "*.safetensors"), ("images", "*.files")),
    "networks": (("checkpoints", "timm-*"), ("checkpoints", "program-*")),
    "programs": (("programs", "*.pt2"),),
}


def list_kept(kind: str) -> list[Entry]:
    """List what is kept of a kind, the most recently used last; what disappears meanwhile is left out."""
    home = get_home()
    paths = [path for folder, pattern in KEPT[kind] for path in find_files(home / folder, pattern)]
    return sorted((entry for path in paths for entry in _read(path)), key=lambda entry: entry.used)


def clear_kept(kind: str) -> int:
    """Remove what is kept of a kind; returns the freed bytes."""
    return sum(map(_remove, list_kept(kind)))


def _read(path: Path) -> Iterator[Entry]:
    with contextlib.suppress(OSError):
        files = [one.stat() for one in ([path] if path.is_file() else sorted(path.iterdir()))]
        size = sum(one.st_size for one in files)
        # Most systems update the time of a reading once a day.
        yield Entry(path, size, max((max(one.st_atime, one.st_mtime) for one in files), default=0.0))


def _remove(entry: Entry) -> int:
    try:
        if entry.path.is_dir():
            shutil.rmtree(entry.path)
        else:
            entry.path.unlink()
    except OSError:
        return 0
    return entry.size
