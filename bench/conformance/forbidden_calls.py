"""The forbidden calls: clock, random numbers, files and connections, each attributed to the module that called.

What a framework does for itself is its own affair: a call counts only if it was made from the backend's package.
"""

from __future__ import annotations

import functools
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

CLOCKS = ("time", "time_ns", "monotonic", "perf_counter", "process_time", "thread_time")
#: Modules through which others open files: their caller is who counts.
THROUGH = ("numpy", "safetensors", "torch.serialization")
#: Modules that open sources and other modules for Python itself.
FOR_PYTHON = ("importlib", "zipimport", "linecache", "inspect", "tokenize", "traceback", "warnings", "pkgutil")
CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate")
CONNECTIONS = ("socket.connect", "socket.bind")


class ForbiddenCalls:
    """Records the calls that a backend must not make. Recording begins at once and does not end.

    Attributes:
        clock, drawn, files, variables: descriptions of the calls, each once.
        folder: in which a profiler may write.
    """

    def __init__(self, package: str) -> None:
        """Begin to record.

        Args:
            package: the backend's outermost package.
        """
        self.package = package
        self.clock: dict[str, None] = {}
        self.drawn: dict[str, None] = {}
        self.files: dict[str, None] = {}
        self.variables: dict[str, None] = {}
        self.folder: str | None = None
        for name in CLOCKS:
            for each in {name, f"{name.removesuffix('_ns')}_ns"}:
                self._wrap(time, each, self.clock)
        for module in (random, np.random):
            for name, function in list(vars(module).items()):
                if callable(function) and not isinstance(function, type) and not name.startswith("_"):
                    self._wrap(module, name, self.drawn)
        self._caches = _list_cache_folders()  # looking for them opens files, which an audit hook must not
        sys.addaudithook(self._see)

    def _wrap(self, module: Any, name: str, calls: dict[str, None]) -> None:
        function: Callable = getattr(module, name)
        title = f"{module.__name__}.{name}"

        @functools.wraps(function)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            frame = sys._getframe(1)
            if self._is_own(frame):
                calls[f"{title} in {_locate(frame)}"] = None
            return function(*arguments, **named)

        setattr(module, name, wrapped)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        """See an audit event (Python's reference, "Audit events table")."""
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, (str, bytes)):
                is_written = any(c in (mode or "") for c in "wax+") or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR))
                self._note_file(os.fsdecode(path), is_written)
        elif event in CHANGES:
            self._note_file(os.fsdecode(arguments[0]), True)
        elif event in CONNECTIONS:
            # The address of a socket between processes of one machine is a path: an input pipeline may have these.
            if not isinstance(arguments[-1], (str, bytes)) and (
                frame := self._find_own(sys._getframe(1), nearest=False)
            ):
                self.files[f"calls {event} in {_locate(frame)}"] = None
        elif event == "os.putenv":
            name, value = map(os.fsdecode, arguments)
            if os.environ.get(name) != value and (frame := self._find_own(sys._getframe(1), nearest=True)):
                self.variables[f"variable {name} in {_locate(frame)}"] = None

    def _note_file(self, path: str, is_written: bool) -> None:
        if self.folder and path.startswith(self.folder):
            return
        frame = self._find_own(sys._getframe(2), nearest=True)
        if frame is None and is_written and not any(Path(path).is_relative_to(folder) for folder in self._caches):
            frame = self._find_own(sys._getframe(2), nearest=False)
        if frame is not None:
            self.files[f"{'writes' if is_written else 'reads'} {path} in {_locate(frame)}"] = None

    def _find_own(self, frame: FrameType | None, nearest: bool) -> FrameType | None:
        """Find the backend's innermost frame.

        Args:
            frame: to begin with.
            nearest: only if nothing but the standard library and `THROUGH` is in between.
        """
        while frame is not None:
            name = str(frame.f_globals.get("__name__"))
            if self._is_own(frame):
                return frame
            top = name.partition(".")[0].removeprefix("_frozen_")
            if top in FOR_PYTHON or (nearest and top not in sys.stdlib_module_names and not name.startswith(THROUGH)):
                return None
            frame = frame.f_back
        return None

    def _is_own(self, frame: FrameType) -> bool:
        name = str(frame.f_globals.get("__name__"))
        return name == self.package or name.startswith(f"{self.package}.")


def _locate(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__')}, line {frame.f_lineno}"


def _list_cache_folders() -> tuple[Path, ...]:
    """The folders in which frameworks keep what they compile and look up."""
    folders: list[str | Path] = [
        tempfile.gettempdir(),
        "/dev",
        "/proc",
        Path.home() / ".cache",
        Path.home() / ".triton",
    ]
    folders += [os.environ[name] for name in ("KERAS_HOME", "TORCHINDUCTOR_CACHE_DIR") if name in os.environ]
    return tuple(Path(folder) for folder in folders)
