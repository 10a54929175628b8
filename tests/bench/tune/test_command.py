"""`bench tune` by real processes that compute by arithmetic, which takes all knobs and heeds none."""

from __future__ import annotations

import signal

import pytest

from bench.cli import tune as command
from bench.plan import tuned_variants
from bench.plan.tuned_variants import Tuned
from bench.records.checksummed_json import unseal
from bench.tune.journal import Unfinished
from tests.bench.processes import Bench, arithmetic, living, suite_file, wait_until


@pytest.mark.slow
def test_tuning_what_a_knob_makes_no_faster_keeps_the_default(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", arithmetic({})["PYTHONPATH"])
    monkeypatch.setattr(command, "SEARCHED", ("folding",))
    monkeypatch.setattr(command, "IMAGES", 8)
    monkeypatch.setattr(command, "STEPS", 5)
    monkeypatch.setattr("bench.tune.search.PROOF_SECONDS", 1.0)
    assert command.tune(20.0, False, suite=str(suite_file(tmp_path)), backends=["keras"]) == 0
    printed = capsys.readouterr().out
    assert "starting point: product: " in printed
    assert "one knob: conv_bn: " in printed
    assert "Kept in " in printed
    (file,) = (tmp_path / "home" / tuned_variants.FOLDER).iterdir()  # nothing else: it is finished
    kept = unseal(tuned_variants.KIND, file.read_bytes(), Tuned, tuned_variants.SCHEMA)
    assert kept.proof == "proven"
    assert [tried.name for tried in kept.history[:2]] == ["product", "conv_bn"]
    assert kept.speedup is None or kept.speedup < 1.2


@pytest.mark.slow
def test_tuning_where_the_default_itself_dies_is_one_line(tmp_path):
    arguments = ("tune", "--suite", suite_file(tmp_path), "--backend", "keras")
    with Bench(*arguments, cwd=tmp_path, PLANTED_KERAS="raise in build") as bench:
        assert bench.end() == 2
    assert bench.stderr.strip() == "bench: the worker of keras's default died: run bench run --backend keras"


@pytest.mark.slow
def test_a_killed_tune_goes_on_and_measures_nothing_again(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("HEADTOHEAD_HOME", str(home))
    arguments = ("tune", "--suite", suite_file(tmp_path), "--backend", "keras", "--budget", "10m")

    def unfinished():
        return list(home.glob("tuned/*.unfinished"))

    with Bench(*arguments, cwd=tmp_path) as bench:
        bench.until(unfinished)
        workers = bench.workers()
        bench.process.send_signal(signal.SIGKILL)
        bench.end(10)
        assert wait_until(lambda: not living(workers), 5), "workers end by themselves"
    (file,) = unfinished()
    before = unseal("unfinished", file.read_bytes(), Unfinished, 1).launches

    with Bench(*arguments, cwd=tmp_path) as bench:
        bench.until(lambda: "Going on from an interrupted tune" in bench.stdout)
        bench.process.send_signal(signal.SIGINT)
        assert bench.end() == 130, bench.stdout + bench.stderr
    assert f"interrupted tune: {len(before)} launches" in bench.stdout
    after = unseal("unfinished", file.read_bytes(), Unfinished, 1).launches
    assert after[: len(before)] == before
