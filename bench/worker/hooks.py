"""The hooks of pytest that every worker has: they tell the conductor how the worker ends."""

from __future__ import annotations

import traceback

import pytest

from bench.worker.baton import Baton, ConductorGone
from bench.worker.channel import Channel
from bench.worker.group.peer_failure import PeerFailed

#: How a traceback names the files of Python's import system.
IMPORT_FRAMES = "<frozen importlib."


class WorkerHooks:
    """The hooks that every worker has, whatever it measures."""

    def __init__(self, descriptor: int) -> None:
        self._baton = Baton(Channel.from_descriptor(descriptor))

    def find_foreign_modules(self) -> dict[str, str]:
        """The files, by module, of modules that should have come from the revision that is measured, and did not."""
        raise NotImplementedError

    def pytest_exception_interact(self, call: object) -> None:
        """Send the conductor the reason for which this worker is about to end."""
        error = call.excinfo.value if isinstance(call, pytest.CallInfo) and call.excinfo else None
        if error is not None and not isinstance(error, (ConductorGone, pytest.skip.Exception)):
            self._baton.send("failed", reason=_describe(error))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Report which modules came from elsewhere, and wait until the last round of all workers is over: saving the
        results takes seconds of CPU time.
        """
        self._baton.send("imported", foreign=self.find_foreign_modules())
        self._baton.give_back("finished")
        if self._baton.channel.receive() is None:
            raise ConductorGone


def _describe(error: BaseException) -> str:
    """An error in one line; if it ended the import of a module, with the place, which may be in any package."""
    if isinstance(error, PeerFailed):
        return str(error)  # names the peer's error
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    frames = [one for one in traceback.extract_tb(error.__traceback__) if not one.filename.startswith(IMPORT_FRAMES)]
    is_import = any(frame.name == "<module>" for frame in frames)
    return f"{line} ({frames[-1].filename}, line {frames[-1].lineno})" if is_import else line
