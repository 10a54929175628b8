"""Nothing around the harness decides a figure: no settings of another project for pytest, and none for Python."""

from __future__ import annotations

import json
import shutil

import pytest

from bench.records import store
from tests.bench.processes import PROJECT, SITE, Bench, suite_file

#: A configuration of pytest that ends every session.
PYTEST_INI = "[pytest]\naddopts = --no-such-option\nfilterwarnings = error\npython_functions = none\n"


@pytest.mark.slow
def test_a_worker_reads_no_settings_of_a_surrounding_project_or_of_python(tmp_path):
    """The harness is installed in a project's environment, as `pip install` does it."""
    (tmp_path / "pytest.ini").write_text(PYTEST_INI)
    packages = tmp_path / ".venv/site-packages"
    for name in ("backends", "bench"):
        shutil.copytree(PROJECT / name, packages / name)
    for folder in (tmp_path, packages, packages / "bench/worker"):
        (folder / "conftest.py").write_text("raise SystemExit('a foreign conftest.py was read')")
    environment = {
        "PYTHONPATH": f"{SITE}:{packages}:{PROJECT}",
        "PYTEST_ADDOPTS": "--no-such-option",
        "PYTEST_PLUGINS": "no_such_plugin",
        "PYTHONMALLOC": "malloc",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "7",
        "KERAS_MAX_EPOCHS": "1",
        "MALLOC_ARENA_MAX": "2",
    }
    with Bench("run", "--suite", suite_file(tmp_path), "--backend", "pytorch", cwd=tmp_path, **environment) as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr
    assert "Threads: 1, because of OMP_NUM_THREADS; --threads sets another number." in bench.stdout
    (run,) = (tmp_path / "results").iterdir()
    (record,), _ = store.read_records(run)
    assert record.variant.threads == record.resolved["intra_op_threads"] == 1
    assert record.disobeyed == {
        "KERAS_MAX_EPOCHS": ("1", "not set"),
        "MKL_NUM_THREADS": ("7", "1"),
        "PYTHONMALLOC": ("malloc", "not set"),
    }
    warnings = [one.evidence for one in record.warnings if one.name == "variable-not-obeyed"]
    assert "MKL_NUM_THREADS was 7 and is 1 in the worker" in warnings
    about = json.loads((run / "environment.json").read_text())
    for variables in (about["variables"], about["frameworks"]["pytorch/default"]["variables"]):
        assert variables["MKL_NUM_THREADS"] == "1"
        assert variables["MALLOC_ARENA_MAX"] == "2"
        assert "PYTHONMALLOC" not in variables
