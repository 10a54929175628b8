"""The sessions: `bench` (the main job), `tests`, `lint`. They share one environment, `.venv`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "tests"]

ENVIRONMENT = Path(".venv")
session = nox.session(venv_location=str(ENVIRONMENT), reuse_venv=True)


def install(nox_session: nox.Session) -> None:
    """Fill the shared environment with pip, once for each state of pyproject.toml."""
    stamp = ENVIRONMENT / "installed-from"
    wanted = hashlib.sha256(Path("pyproject.toml").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        nox_session.install("--editable", ".[all,dev]")
        stamp.write_text(wanted)


@session
def bench(nox_session: nox.Session) -> None:
    """Compare the frameworks: `nox -s bench -- --task cifar10-resnet18 --backend pytorch`."""
    install(nox_session)
    nox_session.run("python", "-m", "bench", "run", *nox_session.posargs)


@session
def tests(nox_session: nox.Session) -> None:
    """Run the test suite: `nox -s tests -- -k parity`."""
    install(nox_session)
    nox_session.run("python", "-m", "pytest", *nox_session.posargs)


@session
def lint(nox_session: nox.Session) -> None:
    """Check style and types."""
    install(nox_session)
    nox_session.run("ruff", "check", ".")
    nox_session.run("ruff", "format", "--check", ".")
    nox_session.run("mypy")


@session
def targets(nox_session: nox.Session) -> None:
    """Show the project's own speed targets against the idiomatic scripts in tests/yardsticks."""
    install(nox_session)
    nox_session.run("python", "-m", "tests.yardsticks", *nox_session.posargs)
