"""The command line in the tests' own process: a start of Python takes longer than most mistakes take to be refused."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

import pytest

import backends
from bench.cli import app
from bench.measure import conductor


class Ended(NamedTuple):
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


@pytest.fixture
def command_line(monkeypatch, capsys) -> Callable[..., Ended]:
    """Runs `bench ...`, and fails where that measures: a run has a process of its own, `processes.Bench`."""
    monkeypatch.setattr(conductor, "launch", lambda *_: pytest.fail("something was measured"))

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        before = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as ended:
                app.main()
        finally:
            signal.signal(signal.SIGTERM, before)
        said = capsys.readouterr()
        return Ended(ended.value.code, said.out, said.err)

    return run


@pytest.fixture
def arithmetic_here(monkeypatch) -> None:
    """All backends are arithmetic in this process too."""
    entries = {
        name: backends.Entry(f"tests.bench.arithmetic.{name}", ("numpy",), entry.extra)
        for name, entry in backends.REGISTRY.items()
    }
    monkeypatch.setattr(backends, "REGISTRY", MappingProxyType(entries))
