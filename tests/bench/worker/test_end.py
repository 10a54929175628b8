"""How a worker's process ends, in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

END = """
import atexit, sys
from bench.worker.__main__ import end_process

class TakesLong:
    def __del__(self):
        print("taken apart", file=sys.__stderr__)

kept = TakesLong()
atexit.register(print, "at the end")
print("not flushed yet", end=" ")
end_process(3)
"""


def test_a_process_ends_with_its_status_and_output_but_takes_nothing_apart():
    done = subprocess.run([sys.executable, "-c", END], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "not flushed yet at the end\n", "")
