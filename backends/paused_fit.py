"""A framework's own `fit`, which cannot be paused, made to train so many steps at a time."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable

from backends.base import Training


class _Closed(Exception):
    """Ends `fit` when training is closed before the order's end."""


class PausedFit(Training):
    """One `fit` over the whole order, in a thread of its own, which waits while no steps are requested.

    A subclass is a callback of its framework: it counts steps in `left`, and calls `report` and `wait` when none is
    left.
    """

    #: Seconds that `close` waits for the end of `fit`: it comes within milliseconds, or waits for the input pipeline.
    close_seconds = 10.0

    def __init__(self, fit: Callable[[], object], steps: int) -> None:
        """Start `fit`, which has to wait for the first steps.

        Args:
            fit: trains the whole order.
            steps: number of batches of the order.
        """
        super().__init__()
        #: Steps that were requested and are not made yet; -1 once they are reported.
        self.left = 0
        #: Held while threads tell each other something; free while `fit` or `advance` waits.
        self.gate = threading.Condition()
        self._ahead = steps
        self._loss = 0.0
        self._closed = self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(fit,), name="fit", daemon=True)
        self._thread.start()

    @abstractmethod
    def read_loss(self) -> float:
        """The mean loss per image of the requested steps, when all of them are made. It waits for the device."""

    def prepare(self) -> None:
        """Prepare the loss of further steps, before `fit` makes them; it may still be starting."""

    def advance(self, steps: int) -> float:
        """See `Training.advance`."""
        if steps > self._ahead:
            raise StopIteration
        self._ahead -= steps
        with self.gate:
            self.prepare()
            self.left = steps
            self.gate.notify_all()
            self.gate.wait_for(lambda: self.left == -1 or self._ended)
        if self._error:
            raise self._error
        if self.left > 0:
            raise StopIteration
        return self._loss

    def close(self) -> None:
        """See `Training.close`."""
        with self.gate:
            self._closed = True
            self.gate.notify_all()
        self._thread.join(self.close_seconds)

    def report(self) -> None:
        """Report that the requested steps are made, if `fit` was not closed. The gate has to be held."""
        if not self._closed:
            self._loss = self.read_loss()
            self.left = -1
            self.gate.notify_all()

    def wait(self) -> None:
        """Wait for further steps, or end `fit`. The gate has to be held."""
        self.gate.wait_for(lambda: self.left > 0 or self._closed)
        if self._closed:
            raise _Closed

    def _run(self, fit: Callable[[], object]) -> None:
        try:
            fit()
        except _Closed:
            pass
        except BaseException as error:  # raised again by `advance`, in the thread that waits there
            self._error = error
        with self.gate:
            self._ended = True
            self.gate.notify_all()
