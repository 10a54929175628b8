"""Every command with every backend of the registry at once, in real processes whose steps do arithmetic.

What a command assumes of three backends, or of a name without a hyphen, fails here.
"""

from __future__ import annotations

import csv
import re
from typing import NamedTuple

import pandas as pd
import pytest

import backends
from bench.api.load import load
from bench.report.export_formats import FORMATS
from bench.report.figures.case_colours import BACKEND_COLOURS
from tests.bench.processes import Bench, suite_file

NAMES = tuple(name for name, entry in backends.REGISTRY.items() if not entry.distribution)
CHOSEN = tuple(option for name in NAMES for option in ("--backend", name))

pytestmark = pytest.mark.thorough


class Run(NamedTuple):
    folder: object
    results: object
    stdout: str


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("all")
    results = folder / "results"
    with Bench("run", "--suite", suite_file(folder), "--results", results, *CHOSEN, cwd=folder) as bench:
        assert bench.end() == 0, bench.stderr
    return Run(next(results.iterdir()), results, bench.stdout)


def end(*arguments: object, cwd, **planted: str) -> str:
    """The output of a command that succeeds."""
    with Bench(*arguments, cwd=cwd, **planted) as bench:
        assert bench.end() == 0, bench.stderr
    return bench.stdout


def test_every_backend_is_proven_measured_and_in_each_table(run):
    records = load(run.folder).records
    assert {record.backend for record in records} == set(NAMES)
    assert {record.proof.status for record in records} == {"reference", "proven"}
    for name in NAMES:
        lines = [line for line in run.stdout.splitlines() if re.search(rf"(?<![\w-]){name}(?:/default| )", line)]
        assert len(lines) >= 3, f"{name} is missing in tables: {lines}"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_every_backend(run, name, tmp_path):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    end("export", run.folder, name, "--output", tmp_path / "out", cwd=tmp_path)
    out = tmp_path / "out"
    if name == "parquet":
        assert set(pd.read_parquet(out).backend) == set(NAMES)
        return
    content = b"".join(file.read_bytes() for file in ([out] if out.is_file() else sorted(out.rglob("*.json"))))
    for backend in NAMES:
        assert backend.encode() in content, backend
    if name == "csv":
        assert {row["backend"] for row in csv.DictReader(content.decode().splitlines())} == set(NAMES)


def test_pages_and_figures_have_a_colour_for_every_backend(run, tmp_path):
    assert set(NAMES) <= set(BACKEND_COLOURS)
    end("publish", tmp_path / "site", "--results", run.results, cwd=tmp_path)
    pages = "".join(file.read_text() for file in (tmp_path / "site").rglob("*.html"))
    for name in NAMES:
        assert f"{name}/default" in pages or f">{name}<" in pages
        assert BACKEND_COLOURS[name] in pages
    end("plot", run.folder, "--output", tmp_path / "plots", cwd=tmp_path)
    assert list((tmp_path / "plots").glob("*.svg"))


def test_sweep_roofline_and_profile_take_a_name_with_a_hyphen(tmp_path):
    names = ("pytorch", *(name for name in NAMES if "-" in name))
    chosen = (option for name in names for option in ("--backend", name))
    options = ("--suite", suite_file(tmp_path), "--results", tmp_path / "results")
    arguments = (*options, *chosen)
    swept = end("sweep", *arguments, "--set", "seed=1", cwd=tmp_path)
    bounds = end("roofline", *arguments, cwd=tmp_path, SHORT_WARMUP="yes")
    for name in names:
        assert name in swept
        assert name in bounds
    assert "product" in end("profile", names[-1], *options, cwd=tmp_path)
