"""The self-test finds the faults of a harness and raises no false alarms, with real workers of arithmetic."""

from __future__ import annotations

import re

import pytest

from bench.cli.selftest import check_harness as command
from bench.selftest import findings
from bench.worker.planted_fault import PlantedFault
from tests.bench.processes import SITE

ALL = 7


@pytest.fixture
def verdicts(monkeypatch, capsys):
    """Runs a shorter form of the command; returns its exit status and its verdicts by check."""
    monkeypatch.setenv("PYTHONPATH", str(SITE))
    monkeypatch.setenv("COLUMNS", "160")
    # Of two launches an interval is so wide that the noise of a busy machine can hide a factor of 3.
    monkeypatch.setattr(findings, "LAUNCHES", 3)
    monkeypatch.setattr(findings, "PLANT_LAUNCHES", 1)
    monkeypatch.setattr(findings, "ROUNDS", 4)
    # The worker that waits 5 ms a step does the same steps as the others, and takes fifty times as long.
    monkeypatch.setattr(findings, "ROUND_SECONDS", 0.02)

    def run() -> tuple[int, dict[str, str]]:
        status = command("pytorch", wait=False)
        table = capsys.readouterr().out
        rows = re.findall(r"^│\s*(.+?)\s*│.*│\s*(passed|FAILED)\s*│$", table, re.M)
        return status, dict(rows)

    return run


@pytest.mark.slow
@pytest.mark.thorough
def test_a_harness_that_favours_one_of_two_equal_cases_is_found(verdicts, monkeypatch):
    real = findings._launch_cases

    def unfair(backend, plants, number, watcher):
        return real(backend, {**plants, "b": PlantedFault(slower=9.0)} if "b" in plants else plants, number, watcher)

    monkeypatch.setattr(findings, "_launch_cases", unfair)
    status, found = verdicts()
    assert status == 1
    assert len(found) == ALL
    assert found["one case twice: ratio of the two"] == "FAILED"
    for correct in ("a planted wait of 5 ms a step", "a planted 50 MB in training", "resolution of the clock"):
        assert found[correct] == "passed"


@pytest.mark.slow
@pytest.mark.thorough
def test_a_planted_fault_without_effect_is_found(verdicts, monkeypatch):
    real = findings._launch_cases

    def blind(backend, plants, number, watcher):
        return real(backend, dict.fromkeys(plants) if "holds" in plants else plants, number, watcher)

    monkeypatch.setattr(findings, "_launch_cases", blind)
    monkeypatch.setattr(findings, "CONFIDENCE", 0.999)  # a busy machine is no fault
    status, found = verdicts()
    assert status == 1
    assert found["a planted wait of 5 ms a step"] == found["a planted 50 MB in training"] == "FAILED"
    assert found["one case twice: ratio of the two"] == "passed"
