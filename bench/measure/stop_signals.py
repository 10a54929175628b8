"""Signals that stop a measurement: the first interrupts it, and none cuts off the end that shows what is finished."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

NUMBERS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
#: So many times Ctrl-C has to be pressed to cut off the end, too.
PRESSES_TO_ABORT = 3
Handler = Callable[[int, FrameType | None], Any]


class _Handlers:
    """Handles the signals that are not ignored by a function, in the main thread, until it is removed."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._before: dict[int, Handler | int | None] = {}

    def install(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in NUMBERS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)

    def remove(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


class SignalDeferral:
    """Notes the stopping signals that come while it is entered, instead of interrupting what has to be completed.

    If one has come, leaving the block raises KeyboardInterrupt, unless another exception leaves it.
    """

    def __init__(self) -> None:
        self._came = False
        self._handlers = _Handlers(self._note)

    def __enter__(self) -> Self:
        self._handlers.install()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._handlers.remove()
        if self._came and kind is None:
            raise KeyboardInterrupt

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Let signals interrupt for a while; one that has come before does so at once.

        Raises:
            KeyboardInterrupt: a signal has come.
        """
        if self._came:
            raise KeyboardInterrupt
        self._handlers.remove()
        try:
            yield
        finally:
            self._handlers.install()

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True


class StopSignals:
    """Handles the signals of Ctrl-C, of `kill` and of a terminal's end while it is entered.

    The first one raises KeyboardInterrupt, if `begin_end` was not called before. Later ones are ignored: terminals and
    service managers send several. Only the third Ctrl-C raises KeyboardInterrupt again. A signal that the process
    ignores, as under `nohup`, stays ignored. In a thread other than the main one this does nothing.
    """

    def __init__(self) -> None:
        self._is_ending = False
        self._presses = 0
        self._handlers = _Handlers(self._handle)

    def __enter__(self) -> Self:
        self._handlers.install()
        return self

    def __exit__(self, *_: object) -> None:
        self._handlers.remove()

    def check(self) -> None:
        """Interrupt, before `begin_end`, if a signal has come whose interrupt was lost, as it is in a destructor.

        Raises:
            KeyboardInterrupt: one has come.
        """
        if self._is_ending:
            raise KeyboardInterrupt

    def begin_end(self) -> None:
        """Ignore all further signals: the measurement is over, and is being shown."""
        self._is_ending = True

    def _handle(self, number: int, _: FrameType | None) -> None:
        self._presses += number == signal.SIGINT
        if not self._is_ending or self._presses >= PRESSES_TO_ABORT:
            self._is_ending = True
            raise KeyboardInterrupt
