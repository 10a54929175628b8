"""The object of an entry point: its module, another package's, may do anything while it is imported."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from importlib import metadata
from typing import Any, TextIO

#: Seconds after which the package whose import is not over is named: nothing else would say what a command waits for.
LONG_SECONDS = 10.0


class NoEntryObject(Exception):
    """The object cannot be imported; the message is the error's type and its first line."""


def import_entry_object(point: metadata.EntryPoint, distribution: str) -> Any:
    """Import the object of an entry point, without what its module prints.

    An import that takes long is named in stderr, and so is one that Ctrl-C ends. A module that ends the process other
    than by `sys.exit` and `os._exit` cannot be left out.

    Args:
        distribution: that brings the entry point.

    Raises:
        NoEntryObject: it cannot be imported.
        KeyboardInterrupt: after Ctrl-C.
    """
    errors, name = sys.stderr, f"the entry {point.name} of the package {distribution}"
    advice = f"if it does not end, press Ctrl-C and run pip uninstall {distribution}"
    notice = threading.Timer(
        LONG_SECONDS, _say, (errors, f"importing {name} takes more than {LONG_SECONDS:g} s: {advice}")
    )
    notice.daemon = True
    notice.start()
    try:
        # What it prints would stand among a command's output; `bench conformance` names it.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), _surviving_exits():
            return point.load()
    except KeyboardInterrupt:
        _say(errors, f"stopped in the import of {name}")
        raise
    except BaseException as error:  # whatever another package's module raises, as pytest's `Skipped`
        first = (str(error).strip().splitlines() or ["no message"])[0]
        raise NoEntryObject(f"{type(error).__name__}: {first}") from None
    finally:
        notice.cancel()


@contextlib.contextmanager
def _surviving_exits() -> Iterator[None]:
    """Within the block `os._exit` raises an exception in this thread. Others, and forked processes, still end by it."""
    end, here = os._exit, (os.getpid(), threading.get_ident())

    def refuse(status: int) -> None:
        if (os.getpid(), threading.get_ident()) != here:
            end(status)
        raise SystemExit(f"os._exit({status})")

    os._exit = refuse  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = end


def _say(errors: TextIO | None, line: str) -> None:
    if errors is not None:
        errors.write(f"bench: {line}\n")
        errors.flush()
