"""The host peak belongs to its phase: 300 MB more show in the phase that touched them, and in no other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.machine import memory

PHASES = """
import json, mmap
from bench.machine import memory

def touch(size):
    with mmap.mmap(-1, size) as block:
        for page in range(0, size, 4096):
            block[page] = 1

peaks = []
memory.reset_peak()
for size in (1 << 20, 300 << 20, 1 << 20):
    touch(size)
    peaks.append(memory.read_peak_bytes())
    memory.reset_peak()
print(json.dumps(peaks + [memory.read_resident_bytes()]))
"""


FAMILY = """
import json, multiprocessing, mmap, sys, time
from bench.machine import memory

block = bytearray(b"x") * (100 << 20)

def touch(done, over):
    for page in range(0, 20 << 20, 4096):
        block[page] = 1
    done.set()
    over.wait()

def family():
    context = multiprocessing.get_context("fork")
    over = context.Event()
    waits = [context.Event() for _ in range(2)]
    children = [context.Process(target=touch, args=(done, over)) for done in waits]
    for child in children:
        child.start()
    for done in waits:
        done.wait()
    size = memory.compute_children_bytes()
    over.set()
    for child in children:
        child.join()
    return size

with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
    sum(mapped[::4096])
    print(json.dumps([memory.compute_children_bytes(), family()]), flush=True)
    sys.stdin.readline()
    print(json.dumps([memory.compute_children_bytes(), family()]), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sizes are read from Linux' /proc")
def test_children_count_only_their_own_memory_whatever_other_processes_map(tmp_path):
    """Two children write 20 MB each of the 100 MB that they inherit; a stranger maps the same file."""
    file = tmp_path / "library"
    file.write_bytes(b"x" * (100 << 20))
    command = [sys.executable, "-c", FAMILY, str(file)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as one, subprocess.Popen(command, text=True, **pipes) as other:
        alone = json.loads(one.stdout.readline())
        other.stdout.readline()
        one.stdin.write("\n")
        one.stdin.flush()
        beside = json.loads(one.stdout.readline())
        other.communicate("\n")
    for sizes in (alone, beside):
        none, two = (size / 2**20 for size in sizes)
        assert none == pytest.approx(0, abs=1)
        assert two == pytest.approx(40, abs=5)


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from Linux' /proc")
def test_a_phase_shows_its_own_peak_and_not_an_earlier_one():
    done = subprocess.run([sys.executable, "-c", PHASES], capture_output=True, text=True, check=True, timeout=60)
    before, during, after, resident = (size / 2**20 for size in json.loads(done.stdout))
    assert during - before == pytest.approx(299, abs=5)
    assert after == pytest.approx(before, abs=5)
    assert resident == pytest.approx(after, abs=5)


def test_without_proc_all_sizes_are_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    monkeypatch.setattr(memory, "CLEAR_REFS", tmp_path / "no" / "clear_refs")
    assert memory.read_peak_bytes() is None
    assert memory.read_resident_bytes() is None
    assert memory.reset_peak() is False
    phases = memory.PhaseRecorder()
    phases.end("build", children=True)
    assert phases.as_dicts() == [{"name": "build", "peak": None, "live": None, "children": 0}]


def test_a_proc_that_cannot_be_written_is_noted(monkeypatch, tmp_path):
    (tmp_path / "status").write_text("VmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    monkeypatch.setattr(memory, "CLEAR_REFS", tmp_path / "no" / "clear_refs")
    assert (memory.read_peak_bytes(), memory.read_resident_bytes()) == (2 * 2**20, 2**20)
    phases = memory.PhaseRecorder()
    phases.end("import")
    assert not phases.resettable
    monkeypatch.setattr(memory, "CLEAR_REFS", tmp_path / "clear_refs")
    phases.end("build")
    assert phases.resettable
    assert Path(tmp_path / "clear_refs").read_text() == "5"
