"""The silence of a worker: how long it may last before the worker counts as hung.

Only silence is limited, not the length of work. Every message of a worker ends its silence, and long work reports how
far it is. Two kinds of work cannot report from inside: a framework's compiler, and one call of known length.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.worker.channel import Message

#: Seconds without a message after which a worker counts as hung.
START_TIMEOUT = 900.0
ROUND_TIMEOUT = 300.0
FINE_TUNE_TIMEOUT = 900.0
#: The same for a phase in which a framework may compile, as long as the worker's processes use the CPU. No compilation
#: of these networks was seen to take a tenth of it, and a compiler that runs in circles is ended, too.
COMPILE_TIMEOUT = 3600.0
#: Seconds of CPU time, all processes of the worker together, that are a sign of life while it compiles. Threads that
#: only wait, waking up now and then, use less in `START_TIMEOUT`: it is one per cent of a core.
CPU_SIGN_OF_LIFE = 9.0
#: Seconds between two readings of that CPU time. A reading takes milliseconds, and most compilations are over sooner.
CPU_READING_SECONDS = 30.0
#: How many times as long as announced a silence may last: other programs may slow the machine down.
PATIENCE = 10.0


@dataclass(frozen=True)
class SilenceLimit:
    """The longest silence.

    Attributes:
        seconds: without a message.
        compiling: without a message, in a phase that was announced as compiling, while CPU time is used.
    """

    seconds: float
    compiling: float = COMPILE_TIMEOUT

    def allow(self, expected: float) -> SilenceLimit:
        """The limit for work that is expected to take `expected` seconds without a message."""
        return SilenceLimit(max(self.seconds, PATIENCE * expected), max(self.compiling, PATIENCE * expected))


class Silence:
    """The silence of one worker while its message is awaited.

    Phases announce themselves by the message `phase`. Its field `compiles` says that the framework may compile in it;
    the field `silent_s` of any message, how many seconds the worker expects to be silent after it. A worker of an older
    revision, a gate's base, sends neither, and has the plain limit.
    """

    def __init__(self, limit: SilenceLimit, compiles: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to wait.

        Args:
            compiles: whether the worker's present phase was announced as compiling.
        """
        self._given, self._limit, self._compiles, self._clock = limit, limit, compiles, clock
        #: When it began; the last sign of life; the last reading of the CPU time, and what it read.
        self._began = self._alive = self._read = clock()
        self._used: float | None = None

    def note_message(self, message: Message) -> None:
        """A message has arrived: the silence begins again."""
        if message["event"] == "phase":
            self._compiles = bool(message.get("compiles"))
        self._limit = self._given.allow(message.get("silent_s", 0.0))
        self._began = self._alive = self._read = self._clock()
        self._used = None

    def is_too_long(self, read_cpu_seconds: Callable[[], float]) -> bool:
        """Whether the worker counts as hung now.

        Args:
            read_cpu_seconds: reads the CPU time of all processes of the worker; called now and then, while it compiles.
        """
        now = self._clock()
        if self._compiles and now - self._read >= CPU_READING_SECONDS:
            self._read, used = now, read_cpu_seconds()
            if self._used is None or used < self._used:  # less is left when a child's time is lost
                self._used = used
            elif used - self._used >= CPU_SIGN_OF_LIFE:
                self._alive, self._used = now, used
        return now >= self._end

    @property
    def seconds_left(self) -> float:
        """Seconds until it is too long, unless the worker gives a sign of life."""
        return max(0.0, self._end - self._clock())

    def describe(self) -> str:
        """Describe how long it has lasted, for example `no answer for 900 s`."""
        lasted = f"no answer for {self._end - self._began:.0f} s"
        if self._alive == self._began:
            return lasted
        if self._end < self._alive + self._limit.seconds:
            return f"{lasted}, busy all the time"
        return f"{lasted}, idle for the last {self._limit.seconds:.0f} s"

    @property
    def _end(self) -> float:
        idle = self._alive + self._limit.seconds
        return min(idle, self._began + self._limit.compiling) if self._compiles else idle
