"""The memory of a device by NVML, through the whole of `bench run`: the library of a driver is made up, and no more.

No GPU is needed, and none is used: the backends do arithmetic. What frameworks count themselves is checked in
`tests/backends/test_fresh_workers.py`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import backends
from bench.machine.gpu import list_devices
from bench.records import store
from tests.bench.processes import Bench, suite_file

SOURCE = Path(__file__).parents[1] / "faked_nvml" / "nvml.c"
NAMES = tuple(name for name, entry in backends.REGISTRY.items() if not entry.distribution)


@pytest.fixture(scope="module")
def library_path(tmp_path_factory) -> str:
    """`LD_LIBRARY_PATH` with the made-up library."""
    compiler = shutil.which("cc")
    if compiler is None or list_devices():
        pytest.skip("there is no C compiler" if compiler is None else "here is a real GPU")
    folder = tmp_path_factory.mktemp("nvml")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", SOURCE], check=True)
    return os.pathsep.join(filter(None, (str(folder), os.environ.get("LD_LIBRARY_PATH"))))


@pytest.mark.slow
def test_each_case_has_the_memory_that_nvml_saw_appear_while_it_started(library_path, tmp_path):
    chosen = [option for name in NAMES for option in ("--backend", name)]
    arguments = ("run", "--suite", suite_file(tmp_path), "--device", "cuda", "--full", *chosen)
    with Bench(*arguments, cwd=tmp_path, LD_LIBRARY_PATH=library_path) as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr
    (run,) = (tmp_path / "results").iterdir()
    records, _ = store.read_records(run)
    found = {record.backend: record.memory.nvml_device for record in records}
    assert found == dict.fromkeys(NAMES, 100_000_000)
    shown = [line.strip("| ").split() for line in (run / "tables.md").read_text().splitlines() if "/default" in line]
    assert {row[0] for row in shown if row[-4:] == ["not", "measured", "|", "95"]} == {
        f"{name}/default" for name in NAMES
    }
    assert "Made-up GPU" in (run / "environment.json").read_text()
