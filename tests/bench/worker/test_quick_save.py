"""A worker that saves its benchmarks identifies neither the CPU nor the git revision."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import os
import sys
import pytest
from bench.worker.quick_save import QuickSave

os.environ.pop("PYTEST_XDIST_WORKER", None)  # in a worker of pytest-xdist, pytest-benchmark saves nothing
status = pytest.main([sys.argv[1], "--benchmark-json", sys.argv[2], "-q", "-p", "no:cacheprovider"], [QuickSave()])
sys.exit(status or ("cpuinfo" in sys.modules))
"""


def test_neither_is_looked_up(tmp_path):
    test, file = tmp_path / "test_it.py", tmp_path / "benchmark.json"
    test.write_text("def test_it(benchmark):\n    benchmark.pedantic(int, rounds=2)\n")
    done = subprocess.run([sys.executable, "-c", CODE, str(test), str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    saved = json.loads(file.read_text())
    assert [saved["machine_info"], saved["commit_info"]] == [{"kept": "in environment.json"}] * 2
    assert [entry["name"] for entry in saved["benchmarks"]] == ["test_it"]
