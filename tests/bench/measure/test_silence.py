"""How long a worker may be silent, on a clock that the test controls."""

from __future__ import annotations

from bench.measure.silence import COMPILE_TIMEOUT, CPU_READING_SECONDS, START_TIMEOUT, Silence, SilenceLimit

PHASE = {"event": "phase", "name": "first step"}


class Worker:
    """A worker that is awaited, of which the test says what it uses of the CPU in each second."""

    def __init__(self, limit: SilenceLimit, compiles: bool) -> None:
        self.now = self.cpu = 0.0
        self.silence = Silence(limit, compiles, lambda: self.now)

    def survive(self, seconds: int, cpu: float) -> bool:
        """Whether it is still awaited after so many seconds, each with so much CPU time."""
        for _ in range(seconds):
            self.now, self.cpu = self.now + 1, self.cpu + cpu
            if self.silence.is_too_long(lambda: self.cpu):
                return False
        return True


def test_silence_is_limited_and_not_length():
    worker = Worker(SilenceLimit(START_TIMEOUT), compiles=False)
    for done in range(20):
        assert worker.survive(800, cpu=1.0)
        worker.silence.note_message({"event": "part", "done": done, "of": 20, "unit": "images"})
    assert not worker.survive(901, cpu=2.0), "it computes, but does not say so"
    assert worker.silence.describe() == "no answer for 900 s"


def test_a_compiler_is_alive_while_it_uses_the_cpu_but_not_for_ever():
    worker = Worker(SilenceLimit(START_TIMEOUT), compiles=True)
    assert worker.survive(3500, cpu=1.0)
    assert not worker.survive(101, cpu=1.0)
    assert worker.now == COMPILE_TIMEOUT
    assert worker.silence.describe() == "no answer for 3600 s, busy all the time"


def test_a_compiler_that_stops_computing_is_hung():
    worker = Worker(SilenceLimit(START_TIMEOUT), compiles=True)
    assert worker.survive(600, cpu=1.0)
    assert worker.survive(800, cpu=0.005), "threads that only wait"
    assert not worker.survive(150, cpu=0.005)
    assert worker.silence.describe() == "no answer for 1500 s, idle for the last 900 s"


def test_only_the_phase_that_says_so_may_compile():
    worker = Worker(SilenceLimit(START_TIMEOUT), compiles=False)
    worker.silence.note_message({**PHASE, "compiles": True})
    assert worker.survive(1000, cpu=1.0)
    worker.silence.note_message(PHASE)  # as a worker of an older revision sends it, too
    assert not worker.survive(901, cpu=1.0)


def test_work_of_a_known_length_may_be_silent_for_longer_and_only_once():
    worker = Worker(SilenceLimit(START_TIMEOUT), compiles=False)
    worker.silence.note_message({"event": "part", "silent_s": 200.0})
    assert worker.survive(1999, cpu=0.0)
    worker.silence.note_message({"event": "part"})
    assert not worker.survive(901, cpu=0.0)
    assert SilenceLimit(300.0).allow(1.0) == SilenceLimit(300.0), "a round that is short has the usual limit"
    assert SilenceLimit(300.0).allow(100.0).seconds == 1000.0


def test_a_search_gives_a_compiler_up_when_its_time_is_over():
    worker = Worker(SilenceLimit(60.0, compiling=60.0), compiles=True)
    assert worker.survive(59, cpu=2.0)
    assert not worker.survive(2, cpu=2.0)


def test_a_short_compilation_is_not_disturbed():
    worker = Worker(SilenceLimit(START_TIMEOUT), compiles=True)
    readings = []
    for _ in range(round(CPU_READING_SECONDS) - 1):
        worker.now += 1
        worker.silence.is_too_long(lambda: readings.append(worker.now) or 0.0)
    assert readings == []
