"""The shell commands of the documentation: of its blocks of `sh`, and those that stand in a sentence or a table."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[2]
DOCUMENTS = [
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
    PROJECT / "results/README.md",
    *sorted((PROJECT / "docs").glob("*.md")),
]
SHELL = ("sh", "bash", "shell", "console")
#: Languages of blocks that hold no command. `text` is for output and for trees.
OTHERS = ("text", "json", "python", "toml", "yaml", "xml", "html", "diff", "markdown")
FENCE = re.compile(r" *(`{3,}|~{3,})(.*)")
#: The comment before a block whose commands are not run here. They are checked against the command line all the same.
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
INLINE = re.compile(r"(?<!`)`((?:bench|head-to-head|nox|python -m (?:bench|nox)) [^`]+)`(?!`)")
#: What stands for a value, or for a choice.
PLACEHOLDER = re.compile(r"[A-Z_]{3,}|…|\[|\]")


class ShellCommand(NamedTuple):
    """A line of a block, with the reason why it is not run here, if there is one."""

    document: Path
    line: int
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.document.relative_to(PROJECT)}:{self.line}: {self.text}"


class Block(NamedTuple):
    """A fenced block: the number of its first line, its language and its lines; `reason` is that of its comment."""

    line: int
    language: str
    lines: tuple[str, ...]
    reason: str | None


def list_blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        opened = FENCE.fullmatch(lines[number])
        if not opened:
            number += 1
            continue
        end = next(
            (i for i in range(number + 1, len(lines)) if lines[i].strip() == opened[1]),
            len(lines),
        )
        before = next((line for line in reversed(lines[:number]) if line.strip()), "")
        reason = NOT_RUN.fullmatch(before.strip())
        yield Block(number + 2, opened[2].strip(), tuple(lines[number + 1 : end]), reason and reason[1])
        number = end + 1


def list_lines(block: Block) -> Iterator[tuple[int, str]]:
    """The commands of a block with their line numbers; a line that ends in a backslash goes on."""
    began, command = 0, ""
    for number, line in enumerate(block.lines, block.line):
        if block.language == "console":
            if not line.startswith("$ "):
                continue
            line = line[2:]
        began, command = (began, command + line.strip()) if command else (number, line.strip())
        if command.endswith("\\"):
            command = command[:-1]
        else:
            if command and not command.startswith("#"):
                yield began, command
            command = ""


def list_commands(document: Path) -> list[ShellCommand]:
    """The commands of a page's blocks."""
    return [
        ShellCommand(document, number, command, block.reason)
        for block in list_blocks(document.read_text(encoding="utf-8"))
        if block.language in SHELL
        for number, command in list_lines(block)
    ]


def list_workflow_commands(document: Path) -> list[ShellCommand]:
    """The commands of a page's workflows: `- run:` of GitHub, lines below `script:` of GitLab."""
    found = []
    for block in list_blocks(document.read_text(encoding="utf-8")):
        if block.language == "yaml":
            for number, line in enumerate(block.lines, block.line):
                if step := re.fullmatch(r"\s*- (?:run: )?((?:python|git|bench|nox) .+)", line):
                    found.append(ShellCommand(document, number, step[1], "a step of a workflow"))
    return found


def list_inline_commands(document: Path) -> list[ShellCommand]:
    """The commands in sentences and tables."""
    found = []
    lines = document.read_text(encoding="utf-8").splitlines()
    inside = False
    for number, line in enumerate(lines, 1):
        if FENCE.fullmatch(line):
            inside = not inside
        elif not inside:
            found += [ShellCommand(document, number, text, "in a sentence") for text in INLINE.findall(line)]
    return found


def split_parts(command: str) -> list[list[str]]:
    """The words of each program of a command, without comments and redirections."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    skip = False
    for word in lexer:
        if skip:
            skip = False
        elif set(word) <= set("&|;"):
            parts.append([])
        elif set(word) <= set("<>"):
            skip = True
        elif word not in "()":
            parts[-1].append(word)
    return [part for part in parts if part]
