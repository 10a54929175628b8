"""The registry finds the backends of installed packages, and leaves out what cannot be used, with the reason."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import backends
from backends.registry import BackendEntry, Registry
from backends.tried_versions import TRIED_VERSIONS

PROJECT = Path(__file__).parents[2]
OWN = {"pytorch": BackendEntry("backends.pytorch", ("torch",))}


@pytest.fixture
def install(tmp_path, monkeypatch) -> Callable[..., None]:
    """Lays out distributions on the path: their entry points, and the module that these name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def lay_out(distribution: str, points: str, code: str = "") -> None:
        folder = tmp_path / f"{distribution}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[headtohead.backends]\n{points}\n")
        (tmp_path / f"{distribution}.py").write_text(
            f"from backends.registry import BackendEntry, CudaSupport\n{code}\n"
        )
        monkeypatch.delitem(sys.modules, distribution, raising=False)

    return lay_out


def test_a_backend_of_a_package_stands_after_the_own_ones_with_its_distribution(install):
    install("mine_backend", "mine = mine_backend:ENTRY", "ENTRY = BackendEntry('mine_backend', ('numpy',))")
    found = Registry(OWN)
    assert list(found) == ["pytorch", "mine"]
    assert found["mine"].distribution == "mine_backend"
    assert found.problems == {}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('no CUDA\\nsecond line')", "its entry cannot be imported: RuntimeError: no CUDA"),
        (
            "import no_such_module",
            "its entry cannot be imported: ModuleNotFoundError: No module named",
        ),
        ("raise SystemExit(3)", "its entry cannot be imported: SystemExit: 3"),
        ("raise SystemExit", "its entry cannot be imported: SystemExit: no message"),
        ("raise BaseException('mine')", "its entry cannot be imported: BaseException: mine"),
        ("import os; os._exit(3)", "its entry cannot be imported: SystemExit: os._exit(3)"),
        ("ENTRY = {'module': 'x'}", "its entry is not a BackendEntry: correct broken:ENTRY"),
        ("ENTRY = BackendEntry('x', 'numpy')", "its entry's packages must be a tuple of strings: correct broken:ENTRY"),
        ("ENTRY = BackendEntry('x', (), versions='>1')", "its entry's versions must be a mapping of strings to"),
        (
            "ENTRY = BackendEntry('x', (), versions={'numpy': 2})",
            "its entry's versions must be a mapping of strings to",
        ),
        ("ENTRY = BackendEntry('x', (), environment=None)", "its entry's environment must be a mapping of strings to"),
        ("ENTRY = BackendEntry('x', (), environment={'N': 1})", "its entry's environment must be a mapping of strings"),
        ("ENTRY = BackendEntry('x', (), extra=None)", "its entry's extra must be a string: correct"),
        ("ENTRY = BackendEntry('x', (), trains_backbones='no')", "its entry's trains_backbones must be True or False"),
        ("ENTRY = BackendEntry('x', (), knobs={'layout': ('a',)})", "its entry's knobs must be a mapping of knobs to"),
        ("ENTRY = BackendEntry('x', (), knobs={'layout': {}})", "its entry's knobs must be a mapping of knobs to"),
        ("ENTRY = BackendEntry('x', (), contract=True)", "its entry's contract must be a whole number: correct"),
        ("ENTRY = BackendEntry('x', (), cuda='12')", "its entry's cuda must be a CudaSupport, with arguments of pip"),
        (
            "ENTRY = BackendEntry('x', (), cuda=CudaSupport('x', {'12': 'x'}))",
            "its entry's cuda must be a CudaSupport, with arguments of pip",
        ),
        (
            "ENTRY = BackendEntry('x', (), contract=99)",
            "it was written for version 99 of the contract, and this is 1: update head",
        ),
    ],
)
def test_an_entry_that_cannot_be_used_is_left_out_and_named(install, capfd, code, reason):
    install("broken", "mine = broken:ENTRY", code)
    install("sound", "other = sound:ENTRY", "ENTRY = BackendEntry('x', ())")
    found = Registry(OWN)
    assert list(found) == ["pytorch", "other"]
    assert found.problems["mine (broken)"].startswith(reason)
    assert capfd.readouterr() == ("", "")


def test_an_entry_that_names_no_contract_was_written_for_the_first(install, monkeypatch):
    install("old", "mine = old:ENTRY", "ENTRY = BackendEntry('x', ())")
    monkeypatch.setattr("backends.registry.CONTRACT", 2)
    assert (
        Registry(OWN)
        .problems["mine (old)"]
        .startswith("it was written for version 1 of the contract, and this is 2: update it")
    )


def test_of_two_backends_of_one_name_the_first_is_kept_and_the_other_named(install):
    entry = "ENTRY = BackendEntry('x', ())"
    install("first", "mine = first:ENTRY", entry)
    install("second", "mine = second:ENTRY\npytorch = second:ENTRY", entry)
    found = Registry(OWN)
    assert (found["mine"].distribution, found["pytorch"].module) == ("first", "backends.pytorch")
    assert found.problems == {
        "mine (second)": "first has a backend of that name: uninstall one of them",
        "pytorch (second)": "this project has a backend of that name: rename the entry point",
    }


def test_an_entry_that_prints_prints_nothing_here(install, capfd):
    install("loud", "mine = loud:ENTRY", "print('hello')\nENTRY = BackendEntry('x', ())")
    assert "mine" in Registry(OWN)
    assert capfd.readouterr() == ("", "")


def test_an_entry_that_takes_long_to_import_is_named_before_it_ends(install, monkeypatch, capfd):
    monkeypatch.setattr("backends.entry_object.LONG_SECONDS", 0.01)
    install("slow", "mine = slow:ENTRY", "import time; time.sleep(0.5)\nENTRY = BackendEntry('x', ())")
    assert "mine" in Registry(OWN)
    (line,) = capfd.readouterr().err.splitlines()
    assert "importing the entry mine of the package slow takes more than 0.01 s" in line
    assert line.endswith("press Ctrl-C and run pip uninstall slow")


def test_an_interrupt_names_the_entry_that_was_being_imported(install, capfd):
    install("slow", "mine = slow:ENTRY", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        len(Registry(OWN))
    assert capfd.readouterr().err == "bench: stopped in the import of the entry mine of the package slow\n"


def test_after_an_import_processes_end_by_exit_again(install):
    end = os._exit
    install(
        "mine_backend",
        "mine = mine_backend:ENTRY",
        "import os; forked = os.fork() or os._exit(0)\nENTRY = BackendEntry('x', ())",
    )
    assert "mine" in Registry(OWN), "a process that it forks ends by it meanwhile"
    assert os._exit is end


@pytest.mark.parametrize("name", ["a/../../b", "two words", "-x", "1st"])
def test_a_name_that_is_no_word_is_left_out(install, name):
    install("odd", f"{name} = odd:ENTRY", "ENTRY = BackendEntry('x', ())")
    found = Registry(OWN)
    assert name not in found
    (problem,) = found.problems.values()
    assert problem.startswith("its name may have only letters, digits, - and _")


def test_own_backends_are_found_without_a_look_at_other_packages(monkeypatch):
    monkeypatch.setattr("backends.registry._list_points", lambda: pytest.fail("looked up"))
    found = Registry(OWN)
    assert "pytorch" in found
    assert found["pytorch"].packages == ("torch",)


def test_a_package_within_a_package_that_is_missing_is_missing(monkeypatch):
    entry = BackendEntry("x", ("no_such_package.part", "numpy"))
    monkeypatch.setattr(backends, "REGISTRY", Registry({"mine": entry}))
    assert backends.find_missing_packages("mine") == ("no_such_package.part",)


def test_the_tried_versions_are_those_that_the_extras_install():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    always = {re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]}
    installed = {}
    for extra in (entry.extra for entry in backends.REGISTRY.own.values()):
        for requirement in extras[extra]:
            name, limits = re.fullmatch(r"([\w-]+)(.*)", requirement.partition(";")[0].strip()).groups()
            installed[name] = limits
    assert {name: limits for name, limits in TRIED_VERSIONS.items() if installed.get(name, limits) != limits} == {}
    for name, entry in backends.REGISTRY.own.items():
        packages = {package.replace("_", "-") for package in entry.packages}
        assert set(entry.versions) == packages - always, name


@pytest.mark.parametrize("name", backends.REGISTRY.own)
def test_an_extra_brings_the_packages_of_its_backend_and_no_other_engine(name):
    """By the metadata of what is installed; what is not installed has none."""
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    entry = backends.REGISTRY.own[name]
    brought = _list_brought(extras, entry.extra)
    for package in entry.packages:
        if not backends.find_missing_packages(name):
            assert package.replace("_", "-") in brought
    engines = {"pytorch": "torch", "lightning": "torch", "keras-torch": "torch", "jax": "jax", "keras-jax": "jax"}
    required_by_keras_hub = {"tensorflow"} if "keras_hub" in entry.packages else set()
    others = {"torch", "tensorflow", "jax"} - {engines.get(name, "tensorflow")} - required_by_keras_hub
    assert not brought & others


def _list_brought(extras: dict[str, list[str]], extra: str) -> set[str]:
    """The distributions that an extra of this project installs, with all that they require."""
    found: set[str] = set()
    left = list(extras[extra])
    while left:
        requirement = Requirement(left.pop())
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        if requirement.name == "head-to-head":
            left += [one for further in requirement.extras for one in extras[further]]
        elif requirement.name not in found:
            found.add(requirement.name)
            with contextlib.suppress(metadata.PackageNotFoundError):
                left += metadata.requires(requirement.name) or []
    return found
