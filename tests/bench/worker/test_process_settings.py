"""Knobs that act through a worker's environment, in real processes: the settings in effect are shown."""

from __future__ import annotations

import json
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import psutil
import pytest

from backends.task import Variant
from bench.analysis import warnings
from bench.machine.environment import count_usable_cores
from bench.measure.worker_environment import build_environment
from bench.records import process_flags
from bench.worker.job import Job
from tests.bench.example_records import record


def make_job(backend: str, **knobs: str) -> Job:
    return Job.model_construct(backend=backend, variant=Variant(threads=2, **knobs), root=None, folder=Path("folder"))


def start_and_read_flags(before: str = "pass", **knobs: str) -> dict[str, str]:
    """Start a process as a worker of PyTorch, run the code `before` in it, and read its flags."""
    read = "from bench.worker import process_settings; print(json.dumps(process_settings.read_flags()))"
    code = f"import json; {before}; {read}"
    job = make_job("pytorch", **knobs)
    done = subprocess.run(
        [sys.executable, "-c", code], env=build_environment(job), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_without_knobs_the_environment_is_the_users():
    made = build_environment(make_job("tensorflow"))
    assert not {"LD_PRELOAD", "GLIBC_TUNABLES", "OMP_PROC_BIND", "TF_CUDNN_USE_AUTOTUNE"} & made.keys()


def test_libraries_that_the_user_preloads_are_kept(monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "libmine.so")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    found = build_environment(make_job("keras", allocator="jemalloc", kernels="eigen"))
    assert (found["LD_PRELOAD"], found["TF_ENABLE_ONEDNN_OPTS"]) == ("libjemalloc.so.2:libmine.so", "0")


@pytest.mark.parametrize(("allocator", "library"), [("jemalloc", "jemalloc"), ("tcmalloc", "tcmalloc_minimal")])
def test_a_preloaded_allocator_is_shown(allocator, library):
    if not find_library(library):
        pytest.skip(f"lib{library} is not installed")
    assert start_and_read_flags(allocator=allocator)[process_flags.ALLOCATOR] == allocator
    assert start_and_read_flags()[process_flags.ALLOCATOR] == "system"


def test_huge_pages_are_shown():
    fill = "kept = bytearray(b'x') * (64 << 20)"
    normal, huge = (
        int(start_and_read_flags(fill, allocator=value)[process_flags.HUGE]) for value in ("system", "hugepages")
    )
    assert huge >= normal + 32


@pytest.mark.slow
def test_bound_threads_are_shown():
    free, bound = (
        int(start_and_read_flags("import torch", affinity=value)[process_flags.CPUS]) for value in ("free", "bound")
    )
    assert free == count_usable_cores()
    assert bound < free or psutil.cpu_count(logical=False) == 1


def test_a_knob_without_effect_is_a_warning():
    variant = Variant(allocator="jemalloc")
    flags = {process_flags.ALLOCATOR: "system", process_flags.HUGE: "0", process_flags.CPUS: "2"}
    made = record("keras").model_copy(update={"variant": variant, "resolved": {"flags": flags}})
    (warning,) = (one for one in warnings.find_launch_warnings(made) if one.name == "knob-without-effect")
    assert warning.evidence == "allocator jemalloc: the process uses the system one"
    effective = made.model_copy(update={"resolved": {"flags": {**flags, process_flags.ALLOCATOR: "jemalloc"}}})
    assert "knob-without-effect" not in {one.name for one in warnings.find_launch_warnings(effective)}
