"""A backend of another package that conforms passes; one with a fault fails in the item that names it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

import backends
from bench.conformance import conformance_run, import_checks, sameness_checks
from bench.conformance.items import ITEMS, PROOFS, LeftOut, Result
from bench.conformance.small_tasks import TASKS
from bench.measure.machine_lock import hold_lock
from tests.backends.sessions import EACH
from tests.bench.conformance.faulty_package import NAME, install
from tests.bench.processes import PROJECT

Results = dict[str, dict[str, object]]

#: Faults, the item that each must fail, and a part of the line.
FAULTS = {
    "sets a variable": ("import", "sets variable FAULTY_THREADS"),
    "other name": ("import", "'another'"),
    "another framework": ("frameworks", "mxnet is imported, too"),
    "raises": ("build", "raised RuntimeError: no such device"),
    "wrong dtype": ("types", "features is (4, 512) float64, not (4, 512) float32"),
    "never trains": ("reset", "three steps do not move the head"),
    "keeps momentum": ("reset", "after `reset` have other losses"),
    "counts batches": ("batches", "that of the images"),
    "accepts everything": ("errors", "raises nothing, not UnsupportedVariant"),
    "alters images": ("inputs", "the images were altered"),
    "random": ("randomness", "random.gauss in tests.bench.conformance.faulty_backend"),
    "own generator": ("determinism", "has other values"),
    "own order": ("proof: frozen", "pipeline order"),
    "no momentum": ("fault: no momentum", "the proof passes with it"),
    "no normalisation": ("fault: another epsilon", "the proof passes with it"),
    "leaks": ("memory", "MB above"),
    "leaves a thread": ("close", "the thread 'left' is left"),
    "burns": ("rest", "of a core"),
    "reads the clock": ("clock", "time.perf_counter in tests.bench.conformance.faulty_backend"),
    "writes a file": ("files", "writes faulty.txt in"),
    "saves arrays": ("files", "writes faulty.npy in"),
    "reads a file": ("files", "faulty_backend.py in"),
    "prints": ("output", "it prints 'step'"),
    "dies": ("kernels", "killed by SIGKILL"),
    "dies at the end": ("end", "after the last item, its process was killed by SIGKILL"),
}
#: What an item needs that others do before: what it looks at happens in them.
ALSO = {"inputs": ["types"], "randomness": ["reset"], "clock": ["reset"], "output": ["reset"]}


@pytest.fixture
def conformance(tmp_path) -> Callable[..., tuple[Results, subprocess.CompletedProcess]]:
    """Runs `bench conformance` with a distribution of its own, and returns the items by name."""

    def run(*arguments: str, fault: str = "", **layout: str) -> tuple[Results, subprocess.CompletedProcess]:
        install(tmp_path / "site", **layout)
        written = tmp_path / "results.json"
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{PROJECT}", "FAULTS": fault}
        done = subprocess.run(
            [sys.executable, "-m", "bench", "conformance", NAME, "--wait", "--json", str(written), *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        found = json.loads(written.read_text())["items"] if written.exists() else []
        return {item["name"]: item for item in found}, done

    return run


@pytest.mark.thorough
def test_a_backend_of_another_package_passes_all_items_but_the_proof_that_it_is_the_same_as_pytorch(conformance):
    found, done = conformance()
    assert set(found) == set(ITEMS)
    failed = {name for name, item in found.items() if item["status"] == "failed"}
    assert failed == {"proof: frozen"}, done.stdout  # arithmetic is no ResNet
    left_out = {name for name, item in found.items() if item["status"] == "left out"}
    assert left_out == {*PROOFS, "proof: cached features"} - failed
    assert "trains only heads" in str(found["proof: all"]["detail"])
    assert done.returncode == 1


@pytest.mark.parametrize("fault", [pytest.param(name, marks=pytest.mark.thorough) for name in FAULTS])
def test_a_fault_fails_the_item_that_names_it(conformance, fault):
    item, part = FAULTS[fault]
    wanted = [word for name in (*ALSO.get(item, ()), item) for word in ("--item", name)]
    found, done = conformance(*wanted, fault=fault)
    assert found[item]["status"] == "failed", done.stdout + done.stderr
    assert part in str(found[item]["detail"])
    assert found[item]["fix"]
    assert done.returncode == 1
    assert "does not conform" in done.stdout


@pytest.mark.slow
def test_items_that_pass_are_lines_of_one_table(conformance):
    found, done = conformance("--item", "reset", "--item", "clock")
    assert {name: item["status"] for name, item in found.items()} == dict.fromkeys(
        ("import", "build", "reset", "clock"), "passed"
    )
    assert done.returncode == 0
    assert f"{NAME} conforms: 4 items passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "part"),
    [
        ({"entry": "print('hello')"}, "importing the entry prints 'hello'"),
        ({"entry": "import mxnet", "arguments": "('numpy', 'mxnet')"}, "importing the entry imports mxnet"),
    ],
)
def test_an_entry_that_prints_or_imports_its_framework_is_named(conformance, layout, part):
    found, _ = conformance("--item", "entry", **layout)
    assert part in str(found["entry"]["detail"])


@pytest.mark.slow
def test_a_module_that_cannot_be_imported_is_named_as_that(conformance):
    found, done = conformance("--item", "build", fault="cannot be imported")
    assert found["import"]["detail"] == "raised RuntimeError: driver not found"
    assert str(found["import"]["fix"]).startswith("correct the entry's `module`")
    assert found["build"]["status"] == "not checked"
    assert done.returncode == 1


def run_as_tests(folder: Path, backend: str, items: str, fault: str = "") -> subprocess.CompletedProcess:
    """Run items as pytest's tests, with a distribution of the folder's own."""
    install(folder / "site")
    environment = {**os.environ, "PYTHONPATH": f"{folder / 'site'}{os.pathsep}{PROJECT}", "FAULTS": fault}
    command = [sys.executable, "-m", "pytest", "--headtohead-backend", backend]
    return subprocess.run(
        [*command, "-k", items, "--rootdir", str(folder), "-rs"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.thorough
def test_pytest_runs_the_items_as_tests(tmp_path):
    done = run_as_tests(tmp_path, NAME, "rest or clock or all", "burns")
    assert done.returncode == 1
    assert "1 failed, 1 passed, 1 skipped" in done.stdout
    assert "of a core. To fix: let threads" in done.stdout
    assert "trains only heads" in done.stdout


def test_without_the_reference_sameness_is_left_out_as_unproven(tmp_path, monkeypatch):
    monkeypatch.setattr(backends, "find_missing_packages", lambda name: ("torch",))
    conformance_run._gather_reference(tmp_path, lambda line: None)
    evidence = {"weights_hash": np.array("1"), "order_hash": np.array("2"), "altered_weights": np.array([], str)}
    evidence |= {"altered_statistics": np.array([], str), "statistics": np.array([], str)}
    evidence |= dict.fromkeys(("pipeline_kernel", "head_kernel", "pipeline_bias", "head_bias"), np.ones(2))
    with pytest.raises(LeftOut, match=r"unproven: the reference is pytorch, and torch not installed: pip install"):
        sameness_checks.explain_proof(evidence, TASKS["frozen"], tmp_path)


def test_an_unknown_item_is_named_with_the_nearest(command_line):
    done = command_line("conformance", "pytorch", "--item", "memmory")
    assert done.status == 2
    assert "did you mean 'memory'?" in done.err


@pytest.mark.slow
def test_each_test_of_a_backend_that_cannot_run_fails_with_the_same_line(tmp_path):
    done = run_as_tests(tmp_path, "no-such-backend", "rest or clock")
    assert done.stdout.count("unknown backend 'no-such-backend'") >= 2
    assert "2 failed" in done.stdout
    assert "StopIteration" not in done.stdout


@pytest.mark.thorough
def test_a_test_of_what_could_not_be_checked_fails(tmp_path):
    done = run_as_tests(tmp_path, NAME, "build", "cannot be imported")
    assert "1 failed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.slow
def test_no_process_of_a_backend_is_left_even_if_its_parent_has_ended(conformance):
    found, _ = conformance("--item", "output", fault="leaves a process")
    printed = re.fullmatch(r"it prints '(\d+)'", str(found["output"]["detail"]))
    assert printed
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(int(printed[1])).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("printed", "shown"),
    [(f"{'x' * 200}\nmore\n", repr("x" * 200)), ("x" * 100_000, repr(f"{'x' * 200}…")), ("\n", None)],
)
def test_of_what_a_backend_prints_the_first_200_characters_are_shown(printed, shown):
    assert conformance_run._name_output("it", printed) == (f"it prints {shown}" if shown else None)


def test_a_check_that_is_stopped_says_what_it_has_found(monkeypatch, command_line):
    def check(*_: object) -> Iterator[Result]:
        yield Result("import", "passed", "importing it changes no setting")
        yield Result("build", "passed", "a trainer is built")
        yield Result("types", "failed", "features is a list", "return arrays")
        raise KeyboardInterrupt

    monkeypatch.setattr(conformance_run, "check_backend", check)
    done = command_line("conformance", "pytorch")
    assert done.status == 130
    assert "\nStopped after 3 items: 2 passed, 1 failed.\n" in done.out


@pytest.mark.thorough
@pytest.mark.parametrize("backend", EACH)
def test_each_of_our_backends_is_built(backend):
    statuses = {result.name: result.status for result in conformance_run.check_backend(backend, ("build",))}
    assert statuses == {"import": "passed", "build": "passed"}


def test_no_backend_is_checked_during_a_measurement(command_line):
    with hold_lock("bench run", False, pytest.fail):
        done = command_line("conformance", "pytorch", "--item", "build")
    assert done.status == 2
    assert "another measurement is under way" in done.err


def test_settings_that_are_attributes_are_read_even_if_they_are_none(monkeypatch):
    settings = SimpleNamespace(jax_platforms=None, jax_enable_x64=False)
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(config=settings))
    found = import_checks._read_settings()
    assert (found["jax.config.jax_platforms"], found["jax.config.jax_enable_x64"]) == ("None", "False")
    assert "jax.config.jax_default_matmul_precision" not in found
