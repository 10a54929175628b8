"""`bench tune` in real processes whose steps do arithmetic; they accept all knobs, and no knob has an effect."""

from __future__ import annotations

import signal

import pytest

from bench.plan import tuned_variants
from bench.plan.request import Request
from bench.plan.tuned_variants import TunedVariant
from bench.records.checksummed_json import parse_checksummed_json
from bench.tune import tuning as command
from bench.tune.journal import UnfinishedTune
from tests.bench.processes import Bench, arithmetic, living, suite_file, wait_until


@pytest.mark.slow
@pytest.mark.thorough
def test_a_knob_without_effect_leaves_the_default(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", arithmetic({})["PYTHONPATH"])
    monkeypatch.setenv("OMP_DYNAMIC", "true")
    monkeypatch.setattr(command, "SEARCHED_KNOBS", ("folding",))
    monkeypatch.setattr("bench.measure.run.PROOF_IMAGES", 8)
    monkeypatch.setattr("bench.measure.run.PROOF_STEPS", 5)
    monkeypatch.setattr("bench.tune.search.PROOF_SECONDS", 1.0)
    assert command.tune_backends(20.0, False, Request(suite=str(suite_file(tmp_path)), backends=["keras"])) == 0
    printed = capsys.readouterr().out
    assert "starting point: product: " in printed
    assert "one knob: conv_bn: " in printed
    assert "Saved in " in printed
    assert "warning variable-not-obeyed, every variant, " in " ".join(printed.split())
    (file,) = (tmp_path / "home" / tuned_variants.FOLDER).iterdir()  # the journal was removed
    kept = parse_checksummed_json(tuned_variants.KIND, file.read_bytes(), TunedVariant, tuned_variants.SCHEMA)
    assert kept.proof == "proven"
    assert "OMP_DYNAMIC was true and is not set" in str([warning.evidence for warning in kept.warnings])
    assert [trial.name for trial in kept.history[:2]] == ["product", "conv_bn"]
    assert kept.speedup is None or kept.speedup < 1.2


@pytest.mark.slow
def test_a_default_that_dies_ends_tuning_in_one_line(tmp_path):
    arguments = ("tune", "--suite", suite_file(tmp_path), "--backend", "keras")
    with Bench(*arguments, cwd=tmp_path, PLANTED_KERAS="raise in build") as bench:
        assert bench.end() == 2
    assert bench.stderr.strip() == "bench: the worker of keras's default died: ValueError: planted: raised in build"


@pytest.mark.thorough
def test_a_killed_tune_resumes_and_repeats_no_launch(tmp_path, monkeypatch):
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
    before = parse_checksummed_json("unfinished", file.read_bytes(), UnfinishedTune, 1).launches

    with Bench(*arguments, cwd=tmp_path) as bench:
        bench.until(lambda: "Resuming an interrupted tune" in bench.stdout)
        bench.process.send_signal(signal.SIGINT)
        assert bench.end() == 130, bench.stdout + bench.stderr
    assert f"interrupted tune: {len(before)} launches" in bench.stdout
    after = parse_checksummed_json("unfinished", file.read_bytes(), UnfinishedTune, 1).launches
    assert after[: len(before)] == before
