"""The machine's load where parts of /proc and /sys are missing: what is not known is None, and nothing ends."""

from __future__ import annotations

import json
import sys

import psutil
import pytest

from bench.analysis import warnings
from bench.machine import environment, load, memory
from bench.machine.environment import describe_environment
from bench.machine.fingerprint import make_fingerprint
from bench.roofline import roofline_run
from tests.bench.example_records import record

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is taken away are parts of Linux' /proc and /sys")


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A system without power supplies in /sys, and then also without /proc and the rest of /sys."""
    monkeypatch.setattr(psutil._pslinux, "POWER_SUPPLY_PATH", str(tmp_path / "none"))

    def take_away() -> None:
        monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "none"))
        for name in ("CGROUP_FILE", "CGROUP_ROOT", "CORES_FOLDER"):
            monkeypatch.setattr(environment, name, tmp_path / "none")
        for name in ("STATUS", "CLEAR_REFS"):
            monkeypatch.setattr(memory, name, tmp_path / "none" / "file")

    return take_away


def test_without_power_supplies_everything_else_is_known(bare):
    with pytest.raises(FileNotFoundError):
        psutil.sensors_battery()
    conditions = load.summarise_conditions([(load.read_counters(), load.read_counters())], None, 1)
    assert conditions.battery is False
    assert conditions.memory_available <= conditions.memory_limit
    assert conditions.swapped is not None


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_without_proc_and_sys_a_measurement_goes_on(bare):
    before = load.read_counters()
    bare()
    with pytest.raises(FileNotFoundError):
        psutil.virtual_memory()
    conditions = load.summarise_conditions([(before, load.read_counters())], None, 1)
    assert conditions.seconds > 0
    unknown = ("other_cpu", "steal", "swapped", "frequency", "memory_available", "memory_limit", "quota")
    assert {getattr(conditions, name) for name in unknown} == {None}
    assert type(conditions).model_validate_json(conditions.model_dump_json()) == conditions
    assert "memory-near-limit" not in {
        one.name for one in warnings.find_launch_warnings(record().model_copy(update={"conditions": conditions}))
    }
    assert memory.compute_children_bytes() == 0
    recorder = memory.PhaseRecorder()
    recorder.end("import", children=True)
    assert (recorder.ended[0].peak, recorder.resettable) == (None, False)


def test_without_proc_and_sys_the_machine_is_described_as_far_as_it_is_known(bare, monkeypatch):
    bare()
    monkeypatch.setattr("os.getloadavg", lambda: (_ for _ in ()).throw(OSError()))
    about = describe_environment()
    assert about["memory"] == {"total": None, "limit": None}
    assert about["system"]["load_average"] is None
    assert json.loads(json.dumps(make_fingerprint(about)))["machine"]["memory, GiB"] is None
    plan = type("Plan", (), {"default": type("Variant", (), {"device": "cpu", "threads": 2})})
    assert roofline_run._find_peak(plan)
