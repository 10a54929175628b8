"""The script for a GPU, in a tiny size on the CPU: it keeps its limits, and its table has every case."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from bench.records import store
from tests.gpu import engines_on_gpu, rounding

#: Backends of this test: one of each way to tell a framework its device. The others differ in what `engines` proves.
CHOSEN = ("pytorch", "keras-jax")
TINY = ("--device", "cpu", "--image-size", "32", "--batch-size", "8", "--rounds", "2", "--round-seconds", "0.02")


@pytest.mark.thorough
def test_it_measures_its_parts_and_writes_one_table(tmp_path):
    chosen = engines_on_gpu._list_usable(CHOSEN)
    options = [*TINY, "--precision", "fp32", "--backend", *chosen, "--minutes", "16", "--part-seconds", "480"]
    options += ["--rounding-seconds", "200"]
    assert engines_on_gpu.main([*options, "--out", str(tmp_path)]) == 0
    (run,) = tmp_path.glob("*Z-gpu-8-fp32")
    records, problems = store.read_records(run)
    assert not problems
    assert {record.backend for record in records} == set(chosen)
    table = (tmp_path / "table.md").read_text()
    for record in records:
        assert f"| 8 | {record.backend}/{record.variant.name} | {record.proof.status} |" in table
    assert "| lite0" in table
    assert table.endswith("## Not reached or not complete\n\n- nothing\n")


def test_what_takes_too_long_is_cut_off_and_what_is_not_reached_is_said(tmp_path):
    # The children of a job in the background ignore Ctrl-C.
    code = "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler); time.sleep(60)"
    assert engines_on_gpu._run([sys.executable, "-c", code], 5, tmp_path / "log") == "cut off after 5 s"
    assert "KeyboardInterrupt" in (tmp_path / "log").read_text()
    fails = [sys.executable, "-c", "raise SystemExit(3)"]
    assert engines_on_gpu._run(fails, 20, tmp_path / "log") == "failed with status 3, see log"
    assert engines_on_gpu.main([*TINY, "--minutes", "0.1", "--out", str(tmp_path)]) == 0
    assert "- 8,fp32: not reached" in (tmp_path / "table.md").read_text()


def test_weights_are_rounded_to_the_nearest_bfloat16():
    exact = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-7, 0.0], np.float32)
    assert rounding.round_to_bf16(exact).tolist() == [1.0, 1.0, 1 + 2**-6, -1 - 2**-7, 0.0]
