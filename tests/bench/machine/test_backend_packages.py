"""Where backends come from, and whether their versions were tried."""

from __future__ import annotations

import pytest

import backends
from backends.registry import BackendEntry, Registry
from bench.errors import UserError
from bench.machine import backend_packages


@pytest.fixture
def registry(monkeypatch) -> Registry:
    """A registry with an own backend, one of a package, and one that is left out."""
    found = Registry({"own": BackendEntry("x", ("torch",), "pytorch")}, {"torch": ">=2.9,<3"})
    others = {
        "theirs": BackendEntry("y", ("numpy",), versions={"numpy": ">=1,<2"}, distribution="numpy"),
    }
    monkeypatch.setattr(found, "_found", others)
    monkeypatch.setattr(
        found, "_problems", {"broken (their-package)": "its entry is not a BackendEntry: correct z:ENTRY"}
    )
    monkeypatch.setattr(backends, "REGISTRY", found)
    return found


def test_a_backend_comes_from_this_project_or_a_distribution_and_so_does_the_advice(registry):
    assert backend_packages.describe_origin("own") == "this project"
    assert backend_packages.describe_origin("theirs").startswith("numpy 2.")
    assert backend_packages.advise_installation("own") == "pip install 'head-to-head[pytorch]'"
    assert backend_packages.advise_installation("theirs") == "pip install numpy"


@pytest.mark.parametrize(
    ("version", "is_tried"),
    [("2.9.0", True), ("2.14.1+cpu", True), ("3.0.0", False), ("2.8.9", False), ("what?", False), (None, True)],
)
def test_a_version_outside_of_the_range_was_never_tried(registry, version, is_tried):
    found = [one.describe() for one in backend_packages.find_untried_versions("own", {"torch": version})]
    assert found == ([] if is_tried else [f"torch {version} was never tried, only >=2.9,<3"])


def test_installed_versions_are_looked_up(registry):
    (found,) = backend_packages.find_untried_versions("theirs")
    assert found.distribution == "numpy"
    assert list(backend_packages.find_untried_versions("unknown")) == []


def test_a_backend_that_is_left_out_is_refused_with_the_reason(registry):
    with pytest.raises(
        UserError, match=r"backend broken \(their-package\) is left out: its entry is not a BackendEntry"
    ):
        backend_packages.refuse_unknown_backend("broken")
    with pytest.raises(UserError, match="unknown backend 'onw': did you mean 'own'"):
        backend_packages.refuse_unknown_backend("onw")


def test_lists_say_where_backends_come_from_what_was_never_tried_and_what_is_left_out(
    registry, command_line, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "300")
    lines = command_line("list", "backends").out.splitlines()
    rows = {line.split()[0]: " ".join(line.split()) for line in lines if line.strip()}
    assert rows["own"].endswith("this project")
    assert "untried-version: numpy 2." in rows["theirs"]
    assert "was never tried, only >=1,<2" in rows["theirs"]
    assert rows["broken"].endswith("left out: its entry is not a BackendEntry: correct z:ENTRY their-package")
    shown = command_line("doctor").out
    assert "ready, but untried-version: numpy 2." in shown
    assert "left out: its entry is not a BackendEntry: correct z:ENTRY" in shown


def test_packages_of_other_backends_are_recorded(registry):
    from bench.machine.environment import list_packages

    assert list_packages()["numpy"].startswith("2.")
    registry._found["theirs"] = BackendEntry(
        "y", (), versions={"scikit-learn": "", "nothing": ""}, distribution="pytest"
    )
    assert {"scikit-learn", "nothing", "pytest"} <= set(list_packages())
