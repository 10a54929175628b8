"""What the pages quote is what the code prints today."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records import store
from bench.report.verdict import build_verdict
from tests.docs.shell_commands import PROJECT, list_blocks

REFERENCE = PROJECT / "results/reference/20261126T164841Z-quick"
LESSONS = PROJECT / "docs/lessons.md"
#: Lessons whose output depends on the machine.
MEASURED = (
    "after_a_pause.py",
    "busy_neighbour.py",
    "large_maps.py",
    "memory_of_a_step.py",
    "tf32.py",
    "xla_small_maps.py",
)
PROGRAMS = sorted(path.name for path in (PROJECT / "docs/lessons").glob("*.py") if path.name not in MEASURED)


def find_quoted(page: Path, command: str) -> str:
    """The block of `text` that follows the block with this command."""
    blocks = list(list_blocks(page.read_text(encoding="utf-8")))
    position = next(i for i, block in enumerate(blocks) if command in block.lines)
    assert blocks[position + 1].language == "text", command
    return "\n".join(blocks[position + 1].lines)


def test_the_readme_quotes_the_verdict_of_the_reference_run():
    quoted = re.search(r"^> (?:.*\n> )*.*", (PROJECT / "README.md").read_text(encoding="utf-8"), re.M)
    assert quoted
    text = " ".join(line.removeprefix("> ") for line in quoted[0].splitlines())
    assert text == build_verdict(store.read_records(REFERENCE)[0]).text


def test_every_lesson_that_is_a_program_is_on_the_page():
    named = set(re.findall(r"python docs/lessons/(\w+\.py)", LESSONS.read_text(encoding="utf-8")))
    assert named == {*PROGRAMS, *MEASURED}


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_lesson_prints_what_its_page_says(program):
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KERAS_BACKEND")}
    command = [sys.executable, f"docs/lessons/{program}"]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == find_quoted(LESSONS, f"python docs/lessons/{program}")
