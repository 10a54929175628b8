"""The page of messages has the lines of the code about the machine and its surroundings, and no others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli.system_errors import REMEDIES
from bench.measure.worker_death import ERROR_CAUSES, SIGNAL_CAUSES

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs/messages.md").read_text(encoding="utf-8")
LINES = re.findall(r"^\| `([^`]+)` \|", PAGE, re.M)
#: The modules whose lines are about the machine and its surroundings.
MODULES = (
    "../backends/registry.py",
    "cache/home.py",
    "cli/crash_report.py",
    "cli/entry_point.py",
    "cli/system_errors.py",
    "data/images/kept_images.py",
    "gate/gate_report.py",
    "gate/stored_gate.py",
    "machine/backend_packages.py",
    "measure/case_job.py",
    "measure/machine_lock.py",
    "measure/scratch_folder.py",
    "measure/silence.py",
    "measure/worker_death.py",
    "measure/worker_process.py",
    "records/store.py",
    "report/exchange/parquet.py",
    "roofline/roofline_file.py",
    "tune/explanation_output.py",
    "tune/tune_output.py",
)
#: The calls whose texts a user reads.
PRINTING = ("UserError", "print", "say", "append", "_build_failure", "_die_hung", "abort")
#: Texts of these modules that are about something else: progress, mistakes in the call, figures.
OTHERS = re.compile(
    r"launch …|unknown run|is not a run|there is no run|Waiting for|--output …|launches of|nothing to explain|margin …|"
    r"is left out|from default|replace or add images|… images cannot be read|^…: … image…$|"
    r"^… \(…\)$|amortised|^Results: …$"
)


def list_texts(tree: ast.AST) -> Iterator[str]:
    """The texts of a syntax tree; … stands for a value."""
    inner = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inner:
            yield node.value


def read_tree(module: str) -> ast.AST:
    return ast.parse((PROJECT / "bench" / module).read_text(encoding="utf-8"))


def list_printed(module: str) -> Iterator[str]:
    """The texts of a module that a user reads."""
    for node in ast.walk(read_tree(module)):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[first, *_]) if name in PRINTING:
                yield from list_texts(first)
            case ast.Return(value=ast.JoinedStr() as value) if "report" in module or "errors" in module:
                yield from list_texts(value)


def split_fixed(text: str) -> list[str]:
    """The parts of a text between its values."""
    return [part for part in text.replace("bench: ", "", 1).split("…") if len(part.strip(" :;,.()")) > 3]


def test_every_line_of_the_page_is_one_of_the_code():
    sources = "\n".join(text for module in MODULES for text in list_texts(read_tree(module)))
    missing = {line: lost for line in LINES if (lost := [part for part in split_fixed(line) if part not in sources])}
    # `killed by NAME: CAUSE` and `cannot use PLACE: REASON: REMEDY` are put together.
    put_together = {*SIGNAL_CAUSES.values(), *(cause for _, cause in ERROR_CAUSES), *REMEDIES.values()}
    for line in list(missing):
        if any(line.endswith(f": {end}") for end in put_together):
            missing.pop(line)
    assert missing == {}
    assert len(LINES) > 30


@pytest.mark.parametrize("module", MODULES)
def test_every_line_of_the_code_is_on_the_page(module):
    printed = [
        text for text in list_printed(module) if ": " in text.removeprefix("bench: ") and not OTHERS.search(text)
    ]
    lines = "\n".join(LINES)
    assert [text for text in printed if not all(part in lines for part in split_fixed(text))] == []


def test_every_cause_and_every_remedy_is_on_the_page():
    ends = {*SIGNAL_CAUSES.values(), *(cause for _, cause in ERROR_CAUSES), *REMEDIES.values()}
    assert {end for end in ends if not any(line.endswith(f": {end}") for line in LINES)} == set()


def test_every_row_has_a_cause_and_a_way_out():
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    assert all(len(row) == 3 and row[1].strip() and row[2].strip(" |") for row in rows)
