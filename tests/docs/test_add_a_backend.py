"""The page "Adding a backend": its blocks are the example's files, and its commands run, from an empty folder on.

The files are installed into an environment of their own, which sees the packages of these tests; nothing is downloaded.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.bench.gate.conftest import pristine  # noqa: F401 - a fixture
from tests.bench.processes import SITE
from tests.docs.shell_commands import PROJECT, list_blocks, list_lines
from tests.docs.test_commands_run import variables  # noqa: F401 - a fixture

PAGE = PROJECT / "docs/adding-a-backend.md"
EXAMPLE = PROJECT / "tests/example_backend"
NAME, TASK = "numpy-head", "shapes-resnet10"
#: The line above a block that is a file.
FILE = re.compile(r"\*\*`([^`]+)`\*\*")
#: Stands for lines that the page does not quote.
GAP = "…"


class Transcript(NamedTuple):
    """What the page's commands printed, by command, and the folders in which they ran.

    Attributes:
        outputs: of each command, in the order of the page.
        folder: of the page's reader, with the package's files and the results.
        clone: of this project, in which the gate runs.
        environment: of the commands.
    """

    outputs: dict[str, str]
    folder: Path
    clone: Path
    environment: dict[str, str]


def list_files() -> dict[str, str]:
    """The page's files, by path."""
    text = PAGE.read_text(encoding="utf-8")
    lines = text.splitlines()
    found = {}
    for block in list_blocks(text):
        above = next(line for line in reversed(lines[: block.line - 2]) if line)
        if named := FILE.fullmatch(above):
            found[named[1]] = "\n".join(block.lines) + "\n"
    return found


def list_quotes() -> Iterator[tuple[str, tuple[str, ...]]]:
    """The last command before each block of output, and the block's lines."""
    command = ""
    for block in list_blocks(PAGE.read_text(encoding="utf-8")):
        if block.language == "sh":
            command = list(list_lines(block))[-1][1]
        elif block.language == "text":
            yield command, block.lines


def find_missing_line(quoted: tuple[str, ...], output: str) -> str | None:
    """The first quoted line that does not follow in an output, where a gap stands for any lines; None if all do."""
    lines = [line.rstrip() for line in output.splitlines()]
    position, may_skip = 0, True
    for line in quoted:
        if line == GAP:
            may_skip = True
            continue
        places = [at for at in range(position, len(lines)) if lines[at] == line]
        if not places or (places[0] != position and not may_skip):
            return line
        position, may_skip = places[0] + 1, False
    return None


def make_environment(folder: Path) -> Path:
    """Make a virtual environment that sees all packages of this one; returns its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    programs = folder / "bin"
    own = subprocess.run(
        [programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    shared = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    lines = "".join(f"import site; site.addsitedir({path!r})\n" for path in shared)
    (Path(own.stdout.strip()) / "shared.pth").write_text(lines)
    (programs / "bench").write_text(f'#!/bin/sh\nexec "{programs}/python" -P -m bench "$@"\n')
    (programs / "bench").chmod(0o755)
    return programs


@pytest.fixture(scope="module")
def transcript(tmp_path_factory, pristine, variables) -> Transcript:  # noqa: F811
    """Follows the page: writes its files into an empty folder, and runs its commands."""
    place = tmp_path_factory.mktemp("reader")
    folder, clone = place / "numpy-head", place / "head-to-head"
    for path, text in list_files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    programs = make_environment(place / "environment")
    subprocess.run(["git", "clone", "--quiet", str(pristine), str(clone)], check=True)
    environment = {
        **os.environ,
        **variables,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{SITE}{os.pathsep}{clone}",
        "REAL": "1",
        "SHORT_WARMUP": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's spelling of: no isolation
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_FIND_LINKS": str(place / "wheels"),
    }
    environment.pop("COLUMNS", None)
    (place / "wheels").mkdir()
    outputs = {}
    commands = [
        command
        for block in list_blocks(PAGE.read_text(encoding="utf-8"))
        if block.language == "sh"
        for _, command in list_lines(block)
    ]
    for command in (f"python -m pip wheel --quiet --no-deps --wheel-dir '{place}/wheels' .", *commands):
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
        )
        problem = f"status {done.returncode}: {done.stderr[-3000:]}" if done.returncode else ""
        if "bench gate" not in command:  # its own test looks at it
            assert not problem, f"{command}\n{done.stdout[-3000:]}\n{problem}"
        assert "Traceback" not in done.stdout + done.stderr, command
        outputs[command] = f"{done.stdout}{problem}"
    return Transcript(outputs, folder, clone, environment)


def find_output(transcript: Transcript, part: str) -> str:
    """The output of the first command with a part."""
    return next(output for command, output in transcript.outputs.items() if part in command)


def test_the_blocks_of_the_page_are_the_files_of_the_example():
    tracked = [
        path
        for path in EXAMPLE.rglob("*")
        if path.is_file() and not {"__pycache__", "build"} & set(path.parts) and ".egg-info" not in str(path)
    ]
    assert list_files() == {str(path.relative_to(EXAMPLE)): path.read_text(encoding="utf-8") for path in tracked}


def test_the_backend_has_less_than_200_lines():
    """Without its task and its settings for pip; a blank line is none."""
    names = ("backend_entry", "backbone", "head", "trainer")
    texts = [list_files()[f"src/numpy_head/{name}.py"] for name in names]
    assert sum(bool(line.strip()) for text in texts for line in text.splitlines()) < 200


@pytest.mark.thorough
def test_its_commands_print_what_it_quotes(transcript):
    quotes = list(list_quotes())
    assert len(quotes) == 3
    for command, quoted in quotes:
        assert find_missing_line(quoted, transcript.outputs[command]) is None, transcript.outputs[command]


@pytest.mark.thorough
def test_a_run_has_the_backend_in_its_table_its_report_and_its_records(transcript):
    assert re.search(r"^ numpy-head/default +\d", find_output(transcript, "bench run"), re.M)
    [run] = [path.parent for path in (transcript.folder / "results").rglob("results.csv")]
    with (run / "results.csv").open() as file:
        assert {(row["backend"], row["task"]) for row in csv.DictReader(file)} == {(NAME, TASK), ("pytorch", TASK)}
    report = (run / "report.html").read_text()
    assert "numpy-head" in report
    assert "NumPy head" in report


@pytest.mark.thorough
def test_the_items_are_tests_of_pytest(transcript):
    assert "2 passed" in find_output(transcript, "--headtohead-backend")


@pytest.mark.thorough
def test_the_gate_compares_two_versions_of_the_package(transcript):
    statuses = re.findall(r"^status (\d+)", find_output(transcript, "bench gate"), re.M)
    assert set(statuses) <= {"1"}  # a verdict: what it says of figures measured beside other tests means nothing
    [file] = (transcript.clone / "results").glob("*-gate/verdicts/gate.json")
    gate = json.loads(file.read_text())["gate"]
    assert gate["against"] == "headtohead-numpy-head==1.0"
    [case] = gate["cases"]
    assert case["case"].startswith(f"{NAME}/")
    assert case["failures"] == []
    assert {"pipeline", "compute", "first-step"} <= set(case["decisions"])
    [old] = Path(transcript.environment["HEADTOHEAD_HOME"]).glob("environments/*/lib/*/site-packages/*numpy_head-*")
    assert old.name == "headtohead_numpy_head-1.0.dist-info"


@pytest.mark.thorough
def test_an_uninstalled_package_is_gone(transcript):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["bench", *arguments]
        return subprocess.run(
            command, cwd=transcript.folder, env=transcript.environment, capture_output=True, text=True
        )

    assert NAME not in run("list", "backends").stdout
    assert TASK not in run("list", "tasks").stdout
    done = run("run", "--backend", NAME)
    assert done.returncode == 2
    assert f"unknown backend '{NAME}'" in done.stderr
    [stored] = [path.parent.name for path in (transcript.folder / "results").rglob("results.csv")]
    assert NAME in run("show", stored).stdout


def test_quoted_lines_follow_each_other_but_for_gaps():
    output = "one\ntwo  \nthree\nfour\n"
    assert find_missing_line(("one", "two", GAP, "four"), output) is None
    assert find_missing_line(("one", "three"), output) == "three"
    assert find_missing_line(("two", GAP, "one"), output) == "one"
