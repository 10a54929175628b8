"""The commands of the documentation, run one after the other as they stand, page by page.

Backends are arithmetic, suites are small and images random, so that only the figures are others; the commands of the
first page run with the real frameworks.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.plan.knob_support import explain_missing_bf16
from tests.bench.gate.conftest import pristine  # noqa: F401 - a fixture
from tests.bench.gate.repository import git, make_repository
from tests.docs.shell_commands import DOCUMENTS, PROJECT, list_commands
from tests.docs.test_quoted_output import PROGRAMS
from tests.docs.workplace import prepare, run_commands, write_home, write_suites

README = PROJECT / "README.md"
EXAMPLE = PROJECT / "tests/bench/gate/example_project"
#: Commands that the test suite cannot run within itself; .ci/run does, or the whole of it is meant.
THE_TESTS_THEMSELVES = (
    "python -m pip install nox && python -m nox -s tests",
    '.venv/bin/python -m pytest -m "not slow"',
)
#: Commands that test_quoted_output.py runs.
QUOTED = tuple(f"python docs/lessons/{program}" for program in PROGRAMS)
#: Pages whose commands are for another project.
OF_ANOTHER_PROJECT = ("gate-your-own-step.md", "compare-your-steps.md")


def list_run(document: Path) -> list[str]:
    """The commands of a page that are run here."""
    commands = [command.text for command in list_commands(document) if command.reason is None]
    if document != README:  # what the first page has, too, is run with the real frameworks
        commands = [command for command in commands if command not in list_run(README)]
    if explain_missing_bf16("cpu"):
        commands = [command for command in commands if "bf16" not in command]
    return [command for command in commands if not command.startswith(THE_TESTS_THEMSELVES + QUOTED)]


#: A page whose commands test_add_a_backend.py runs, with its files.
FROM_AN_EMPTY_FOLDER = "adding-a-backend.md"
PAGES = [document for document in DOCUMENTS if list_run(document) and document.name != FROM_AN_EMPTY_FOLDER]


@pytest.fixture(scope="session")
def variables(tmp_path_factory) -> dict[str, str]:
    """The environment of the commands: a home with images and weights, small suites, and an author."""
    folder = tmp_path_factory.mktemp("documentation")
    write_home(folder / "home")
    (folder / "user").mkdir()
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in WHO.items()}
    suites = write_suites(folder / "suites")
    return {"HEADTOHEAD_HOME": str(folder / "home"), "HOME": str(folder / "user"), "SUITES": str(suites), **who}


WHO = {"NAME": "Test", "EMAIL": "test@example.org"}


def make_place(document: Path, folder: Path, pristine: Path) -> Path:  # noqa: F811
    """The folder in which a page's reader is."""
    if document.name not in OF_ANOTHER_PROJECT:
        return prepare(folder, pristine)
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    make_repository(folder)
    git(folder, "branch", "--force", "main")
    return folder


def check(commands: list[str], place: Path, **variables: str) -> None:
    done = run_commands(commands, place, **variables)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "exit code 2" not in done.stderr + done.stdout  # of a session of nox
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("document", [page for page in PAGES if page != README], ids=lambda path: path.name)
def test_the_commands_of_a_page_run(document, tmp_path, pristine, variables):  # noqa: F811
    check(list_run(document), make_place(document, tmp_path / "project", pristine), **variables)


@pytest.mark.slow
@pytest.mark.thorough
def test_the_commands_of_the_first_page_run_with_the_real_frameworks(tmp_path, pristine, variables):  # noqa: F811
    check(list_run(README), make_place(README, tmp_path / "project", pristine), REAL="1", **variables)


def test_the_tests_themselves_are_run_elsewhere():
    assert "nox -s tests" in (PROJECT / ".ci/run").read_text()
    named = [command.text for document in DOCUMENTS for command in list_commands(document)]
    assert all(any(text.startswith(one) for text in named) for one in THE_TESTS_THEMSELVES)
