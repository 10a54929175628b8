"""The planted changes of `bench gate-selftest` fit the backends' code, and simulated error rates are correct."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis.metrics import resolve_margins
from bench.gate import error_rates, planted_changes
from bench.gate.decision import DECISION_POINTS
from tests.bench.gate.repository import git, make_repository, write_program
from tests.bench.processes import PROJECT

ALL = (planted_changes.make_slower_step(0.03), *planted_changes.OTHER_CHANGES)


@pytest.mark.parametrize("plant", ALL, ids=lambda plant: plant.name)
def test_a_planted_change_is_one_real_commit_that_compiles(plant, tmp_path):
    folder = tmp_path / "project"
    (folder / plant.file).parent.mkdir(parents=True)
    (folder / plant.file).write_text((PROJECT / plant.file).read_text())
    make_repository(folder)
    base = planted_changes.commit_change(plant, folder, tmp_path / "clone", step=0.005)
    assert git(tmp_path / "clone", "rev-list", "--count", f"{base}..HEAD") == "1"
    assert git(tmp_path / "clone", "diff", "--name-only", base, "HEAD") == plant.file
    compile((tmp_path / "clone" / plant.file).read_text(), plant.file, "exec")
    assert git(folder, "status", "--porcelain") == ""


def test_the_users_configuration_stops_no_planted_change(tmp_path, monkeypatch):
    """It asks for signatures and hooks, and forbids clones of folders."""
    write_program(tmp_path / "hooks/pre-commit", "exit 1")
    sections = {"commit": "gpgSign = true", "gpg": "program = false", "user": "useConfigOnly = true"}
    sections |= {"core": f"hooksPath = {tmp_path}/hooks", 'protocol "file"': "allow = never"}
    (tmp_path / "config").write_text("".join(f"[{name}]\n{setting}\n" for name, setting in sections.items()))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    plant = ALL[0]
    (tmp_path / "project" / plant.file).parent.mkdir(parents=True)
    (tmp_path / "project" / plant.file).write_text((PROJECT / plant.file).read_text())
    planted_changes.commit_change(plant, make_repository(tmp_path / "project"), tmp_path / "clone", step=0.005)
    assert git(tmp_path / "clone", "log", "--max-count=1", "--format=%an") == "gate-selftest"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "slower", "passed"), [(0.0, (0, 0.02), (0.9, 1)), (0.03, (0.8, 1), (0, 0.2)), (0.10, (1, 1), (0, 0))]
)
def test_rates_of_a_normal_spread(change, slower, passed):
    """Spread 2 %, one metric; simulations of the decision give 0.8 %, 99 % and 100 % at a spread of 2 % or less."""
    draw = np.random.default_rng(3)
    pairs = [{"pipeline": float(y)} for y in 0.02 * draw.standard_normal(60)]
    found = error_rates.simulate_gates(
        pairs, error_rates.compute_shifts(change, ["pipeline"]), resolve_margins(()), 0.01, draw
    )
    assert slower[0] <= found.slower.estimate <= slower[1]
    assert passed[0] <= found.passed.estimate <= passed[1]
    assert found.slower.low <= found.slower.estimate <= found.slower.high
    assert 6 <= found.pairs.estimate <= DECISION_POINTS[-1]
