"""The sessions of nox."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]

pytest.importorskip("nox", reason="the extra `dev` is not installed")

#: Stands for the environment's interpreter: what it is about to keep takes a second after Ctrl-C.
COMMAND = """#!/bin/sh
trap 'sleep 1; echo kept > end; exit 130' INT
echo > begin
while :; do sleep 0.1; done
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups that a signal reaches")
def test_ctrl_c_leaves_the_command_the_time_to_keep_what_is_finished(tmp_path):
    for name in ("noxfile.py", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path)
    interpreter = tmp_path / ".venv/bin/python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(COMMAND)
    interpreter.chmod(0o755)
    state = hashlib.sha256((PROJECT / "pyproject.toml").read_bytes()).hexdigest()
    (tmp_path / ".venv/installed-from").write_text(state)
    nox = subprocess.Popen(
        [sys.executable, "-m", "nox", "-s", "bench"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while not (tmp_path / "begin").is_file() and nox.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(nox.pid, signal.SIGINT)
    out, _ = nox.communicate(timeout=60)
    assert (tmp_path / "end").is_file(), out
    assert nox.returncode
