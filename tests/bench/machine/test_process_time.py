"""The CPU time of a process and all below it."""

from __future__ import annotations

import subprocess
import sys

from bench.machine.process_time import read_tree_cpu_seconds
from tests.bench.processes import wait_until

#: Uses 0.2 s itself, lets a child use 0.2 s and end, and waits for its own end.
PROGRAM = """
import subprocess, sys, time
use = "import time\\nwhile time.process_time() < 0.2: pass"
subprocess.run([sys.executable, "-S", "-c", use])
exec(use)
sys.stdin.read()
"""


def test_children_that_have_ended_count():
    with subprocess.Popen([sys.executable, "-S", "-c", PROGRAM], stdin=subprocess.PIPE) as process:
        assert wait_until(lambda: read_tree_cpu_seconds(process.pid) >= 0.38, 20)
        assert read_tree_cpu_seconds(process.pid) < 1.0
        process.stdin.close()
        process.wait()
        assert read_tree_cpu_seconds(process.pid) == 0.0, "it is gone"
