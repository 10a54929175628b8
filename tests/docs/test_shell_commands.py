"""Every shell command of the documentation is one that the command line takes; a comment says why one is not run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.command_checks import find_problem, find_problem_in_sentence
from tests.docs.shell_commands import (
    DOCUMENTS,
    OTHERS,
    SHELL,
    list_blocks,
    list_commands,
    list_inline_commands,
    list_workflow_commands,
    split_parts,
)


def name_of(document: Path) -> str:
    return str(document.relative_to(document.parents[1]))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_block_says_what_it_holds(document):
    blocks = list_blocks(document.read_text(encoding="utf-8"))
    assert [(block.line, block.language) for block in blocks if block.language not in (*SHELL, *OTHERS)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_of_a_block_is_taken(document):
    commands = list_commands(document) + list_workflow_commands(document)
    problems = [
        (str(one), found) for one in commands for part in split_parts(one.text) if (found := find_problem(part))
    ]
    assert problems == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_in_a_sentence_exists(document):
    commands = list_inline_commands(document)
    assert [(str(one), found) for one in commands if (found := find_problem_in_sentence(one.text))] == []


def test_the_commands_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n```sh\n# a comment\nbench run \\\n    --epochs 1    # another one\n\n"
        "bench list runs && bench doctor > file\n```\n\n"
        "<!-- not run: needs a GPU -->\n\n```console\n$ bench show\nan output\n```\n\n"
        "```yaml\n      - run: python -m bench gate --against main\n```\n\nIn a sentence, `bench list runs`.\n"
    )
    found = list_commands(page)
    assert [(one.line, one.text, one.reason) for one in found] == [
        (5, "bench run --epochs 1    # another one", None),
        (8, "bench list runs && bench doctor > file", None),
        (14, "bench show", "needs a GPU"),
    ]
    assert [split_parts(one.text) for one in found[:2]] == [
        [["bench", "run", "--epochs", "1"]],
        [["bench", "list", "runs"], ["bench", "doctor"]],
    ]
    assert [one.text for one in list_workflow_commands(page)] == ["python -m bench gate --against main"]
    assert [(one.line, one.text) for one in list_inline_commands(page)] == [(22, "bench list runs")]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("bench run --epoch 1", "unknown option --epoch: did you mean --epochs"),
        ("bench run --resume x --epochs 1", "--resume keeps the options"),
        ("bench rum", "unknown command"),
        ("head-to-head run --launches few", "--launches few: give"),
        ("bench run --task cifar10", "unknown value cifar10 of --task"),
        ("bench run --knob precison=bf16", "unknown knob"),
        ("nox -s bench -- --epoch 1", "unknown option --epoch"),
        ("srun bash -c 'bench run --node-ranks $SLURM_NODEID'", "unknown option --node-ranks"),
        ("nox -s compare", "the sessions are"),
        ("nox -s targets -- --only nothing", "refuses"),
        ("python -m pip install 'head-to-head[all,docks]'", "unknown extras docks"),
        ("python -m pytest tests/test_gone.py::test_it", "does not exist"),
        ("make bench", "there is no check for make"),
        ("HEADTOHEAD_HOME=x bench doctor", None),
        ("bench run --suite quick --data-dir path --until 3%", None),
        ("bench gate --target tests/x.py::test --against main -- -k fast", None),
    ],
)
def test_a_mistake_in_a_command_is_found(command, problem):
    found = [one for part in split_parts(command) if (one := find_problem(part))]
    assert (found == []) if problem is None else re.search(re.escape(problem), found[0])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("bench sweep --target", None),
        ("bench COMMAND --help", None),
        ("bench baseline save|list|show|rm", None),
        ("bench baseline save NAME [--run RUN] [--branch]", None),
        ("bench sweep --until 2%", "bench sweep has no --until"),
        ("bench bechmark", "no command bechmark"),
        ("nox -s benches", "no session benches"),
    ],
)
def test_a_mistake_in_a_sentence_is_found(text, problem):
    assert find_problem_in_sentence(text) == problem
