"""The environment: what it must hold, what it must not, and how long it may take."""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.machine import environment as module
from bench.machine.environment import describe_environment, describe_git, list_packages, list_variables


def test_the_facts_are_there_and_json_ready_in_half_a_second():
    describe_environment()
    began = time.perf_counter()
    facts = describe_environment()
    assert time.perf_counter() - began < 0.5

    assert json.loads(json.dumps(facts)) == facts
    assert facts["python"]["version"] == platform.python_version()
    assert facts["memory"]["total"] > 2**28
    assert facts["cpu"]["model"]
    assert 1 <= facts["cpu"]["cores_usable"] <= facts["cpu"]["cores_logical"]


def test_nothing_personal_is_in_it(monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", f"{Path.home()}/lib/libtcmalloc.so:/opt/b.so")
    monkeypatch.setenv("KERAS_API_KEY", "sesame")
    assert "sesame" not in str(module.list_disobeyed_variables(dict(os.environ), {}))
    text = json.dumps(describe_environment(), ensure_ascii=False)
    assert str(Path.home()) not in text
    assert str(module.PROJECT) not in text
    assert "sesame" not in text
    assert f'"{platform.node()}"' not in text
    assert f'"{getpass.getuser()}"' not in text
    assert "…/libtcmalloc.so:…/b.so" in text


def test_variables_that_steer_a_framework_are_kept_and_others_are_not():
    found = list_variables(
        {
            "OMP_NUM_THREADS": "2",
            "XLA_FLAGS": "--xla_gpu_cuda_data_dir=/home/me/cuda --xla_x=3",
            "TORCH_HOME": "~/models/torch",
            "TF_CPP_MIN_LOG_LEVEL": "0",
            "TF_VAR_password": "1",
            "HOME": "/home/me",
            "MKL_TOKEN": "1",
        }
    )
    assert found == {"OMP_NUM_THREADS": "2", "XLA_FLAGS": "--xla_gpu_cuda_data_dir=…/cuda --xla_x=3"}


@pytest.mark.parametrize(
    ("outside", "quota", "expected"),
    [
        ({}, None, (8, None)),
        ({}, 1.5, (1, "the CPU quota of 1.5")),
        ({}, 0.2, (1, "the CPU quota of 0.2")),
        ({}, 16.0, (8, None)),
        ({"OMP_NUM_THREADS": "3"}, 1.5, (3, "OMP_NUM_THREADS")),
        ({"OMP_NUM_THREADS": "4,2"}, None, (4, "OMP_NUM_THREADS")),
        ({"OMP_NUM_THREADS": "all"}, None, (8, None)),
        ({"OMP_NUM_THREADS": "0"}, None, (8, None)),
    ],
)
def test_threads_are_those_of_the_surroundings(monkeypatch, outside, quota, expected):
    monkeypatch.setattr(module, "count_usable_cores", lambda: 8)
    monkeypatch.setattr(module, "read_cpu_quota", lambda: quota)
    assert module.choose_threads(outside) == expected


def test_versions_are_read_without_importing_anything():
    code = (
        "import sys; from bench.machine.environment import describe_environment; e = describe_environment();"
        "print(e['packages']['numpy'], bool({'torch', 'tensorflow', 'keras', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    version, imported = done.stdout.split()
    assert version == list_packages()["numpy"]
    assert imported == "False"


def test_git_has_the_revision_and_whether_files_differ_from_it(tmp_path):
    assert describe_git(tmp_path) is None

    def command(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    command("init")
    (tmp_path / "file").write_text("1")
    command("add", "file")
    command("commit", "-m", "first")
    assert describe_git(tmp_path)["dirty"] is False
    assert len(describe_git(tmp_path)["revision"]) == 40
    (tmp_path / "file").write_text("2")
    assert describe_git(tmp_path)["dirty"] is True


@pytest.mark.parametrize(
    ("files", "quota", "limit"),
    [
        # Version 2: the parent is the tighter one.
        (
            {
                "cgroup": "0::/a/b\n",
                "sys/a/b/cpu.max": "400000 100000",
                "sys/a/cpu.max": "150000 100000",
                "sys/a/b/memory.max": "max",
                "sys/a/memory.max": "1000",
            },
            1.5,
            1000,
        ),
        # Version 1: a hierarchy for each controller.
        (
            {
                "cgroup": "3:cpu,cpuacct:/x\n2:memory:/y\n",
                "sys/cpu/x/cpu.cfs_quota_us": "50000",
                "sys/cpu/x/cpu.cfs_period_us": "100000",
                "sys/memory/y/memory.limit_in_bytes": "9223372036854771712",
            },
            0.5,
            None,
        ),
        ({"cgroup": "0::/\n", "sys/cpu.max": "max 100000"}, None, None),
        ({}, None, None),
    ],
)
def test_the_tightest_control_group_is_found(tmp_path, monkeypatch, files, quota, limit):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(module, "CGROUP_FILE", tmp_path / "cgroup")
    monkeypatch.setattr(module, "CGROUP_ROOT", tmp_path / "sys")
    assert module.describe_cpu()["quota"] == quota
    assert describe_environment()["memory"]["limit"] == limit
