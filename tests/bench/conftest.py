"""Fixtures that run the command line in the test process: most refusals are faster than a start of Python."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

import backends
from backends.registry import Registry
from bench.cli import entry_point
from bench.measure import conductor


class FinishedCommand(NamedTuple):
    """A finished command: its exit status and its output."""

    status: int
    out: str
    err: str


@pytest.fixture
def command_line(monkeypatch, capsys) -> Callable[..., FinishedCommand]:
    """Runs `bench ...` in this process, and fails if it measures: that needs a separate process, `processes.Bench`."""
    monkeypatch.setattr(conductor, "run_launch", lambda *_, **__: pytest.fail("something was measured"))

    def run(*arguments: object) -> FinishedCommand:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, *entry_point.STOPPING_SIGNALS)}
        try:
            with pytest.raises(SystemExit) as ended:
                entry_point.main()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        captured = capsys.readouterr()
        return FinishedCommand(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def arithmetic_here(monkeypatch) -> None:
    """Makes all backends arithmetic in this process."""
    entries = {
        name: backends.BackendEntry(
            f"tests.bench.arithmetic.{name.replace('-', '_')}", ("numpy",), entry.extra, entry.title
        )
        for name, entry in backends.REGISTRY.own.items()
    }
    monkeypatch.setattr(backends, "REGISTRY", Registry(entries))


@pytest.fixture(autouse=True)
def known_terminal(monkeypatch) -> None:
    """Names a terminal, as a CI job does not: without a name, nothing is redrawn on a console of a test."""
    monkeypatch.setenv("TERM", "xterm")
