"""The sessions: `bench` (the main job), `regress` (the gate), `tests`, `engines`, `pages`, `lint`, `docs` and others.

nox gives every session an environment of its own. With three frameworks that would be many gigabytes each, so the
sessions ask nox for none (`python=False`) and share one, `.venv`, that is filled here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import tarfile
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests", "engines", "pages", "thorough"]

ENVIRONMENT = Path(__file__).with_name(".venv")
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = ENVIRONMENT / "installed-from"
#: Two tests at a time: most of them wait for processes to start, or to end. tests/conftest.py keeps those together
#: that share what is costly to make. `-- -n 0` runs one after the other.
TWO_AT_A_TIME = ("-n", "2")
BUILD_DOCS = ("-m", "sphinx", "-W", "--keep-going", "--quiet", "--write-all", "docs", "build/site")


def python(session: nox.Session) -> str:
    """The shared environment's interpreter; filled with pip, once for each state of pyproject.toml."""
    wanted = hashlib.sha256(Path("pyproject.toml").read_bytes()).hexdigest()
    if not STAMP.is_file() or STAMP.read_text() != wanted:
        session.run(sys.executable, "-m", "venv", str(ENVIRONMENT), external=True)
        session.run(str(PYTHON), "-m", "pip", "install", "--editable", ".[all,dev,docs]", external=True)
        STAMP.write_text(wanted)
    return str(PYTHON)


def _run_bench(session: nox.Session, command: str) -> None:
    """Run a command of `bench` with the session's options.

    Ctrl-C is the command's alone: nox would kill it half a second later, before what is finished is shown and kept.
    """
    interpreter = python(session)
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        session.run(interpreter, "-m", "bench", command, *session.posargs, external=True)
    finally:
        signal.signal(signal.SIGINT, before)


def _run_tests(session: nox.Session, *options: str) -> None:
    session.run(python(session), "-m", "pytest", *options, *TWO_AT_A_TIME, *session.posargs, external=True)


@nox.session(python=False)
def bench(session: nox.Session) -> None:
    """Compare the frameworks: `nox -s bench -- --task cifar10-resnet18 --backend pytorch`."""
    _run_bench(session, "run")


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run the test suite without the tests of pages: `nox -s tests -- -k parity`."""
    _run_tests(session, "--ignore", "tests/pages")


@nox.session(python=False)
def engines(session: nox.Session) -> None:
    """Prove the backends that `tests` leaves out: `nox -s engines -- -k keras-torch`."""
    _run_tests(session, "--engines", "--ignore", "tests/pages")


@nox.session(python=False)
def pages(session: nox.Session) -> None:
    """Open the reports in a real Chromium; where there is none, it is installed if that is possible, or skipped."""
    interpreter = python(session)
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        for command in (("apt-get", "update"), ("apt-get", "install", "--yes", "chromium", "chromium-driver")):
            _try(session, *(command if os.name == "nt" or os.geteuid() == 0 else ("sudo", "-n", *command)))
    # The checker of accessibility is a tool of this session alone; it is kept beside the environment.
    folder = ENVIRONMENT / "axe-core"
    checker = folder / "package/axe.min.js"
    if not checker.is_file():
        folder.mkdir(exist_ok=True)
        _try(session, "npm", "pack", "--silent", "--pack-destination", str(folder), "axe-core@4.14.1")
        for archive in folder.glob("*.tgz"):
            with tarfile.open(archive) as opened:
                opened.extract("package/axe.min.js", folder)
    session.run(
        interpreter,
        "-m",
        "pytest",
        "tests/pages",
        *session.posargs,
        external=True,
        env={"HEADTOHEAD_AXE": str(checker)},
    )


def _try(session: nox.Session, *command: str) -> None:
    """Run a command that may be missing or fail: what needs it is skipped with the reason."""
    if shutil.which(command[0]) is None:
        session.warn(f"{command[0]} is not here")
    else:
        session.run(*command, external=True, success_codes=range(256), silent=True)


@nox.session(python=False)
def thorough(session: nox.Session) -> None:
    """Run the tests that take ten seconds or more: whole commands with real frameworks, kills at random moments."""
    _run_tests(session, "--thorough")


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Check style, types, who imports whom, and that the documentation builds without a warning."""
    interpreter = python(session)
    session.run(interpreter, "-m", "ruff", "check", ".", external=True)
    session.run(interpreter, "-m", "ruff", "format", "--check", ".", external=True)
    session.run(interpreter, "-m", "mypy", external=True)
    session.run(str(PYTHON.with_name("lint-imports")), external=True)
    session.run(interpreter, *BUILD_DOCS, external=True)


@nox.session(python=False)
def docs(session: nox.Session) -> None:
    """Build the documentation as a site in build/site; a warning is an error."""
    session.run(python(session), *BUILD_DOCS, external=True)


@nox.session(python=False)
def regress(session: nox.Session) -> None:
    """Did training become slower? `nox -s regress -- --against origin/main`."""
    _run_bench(session, "gate")


@nox.session(python=False)
def selftest(session: nox.Session) -> None:
    """Check that the harness measures correctly, on a quiet machine: before a change to measuring."""
    _run_bench(session, "selftest")


@nox.session(python=False)
def targets(session: nox.Session) -> None:
    """Show the project's own speed targets against the idiomatic scripts in tests/yardsticks."""
    session.run(python(session), "-m", "tests.yardsticks", *session.posargs, external=True)
