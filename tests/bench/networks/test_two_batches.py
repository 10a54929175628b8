"""The exports with two batch sizes: side by side they are what they are one after the other, whatever the fork does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.machine.environment import PROJECT

EXPORT = """
import os, sys, time, torch
from bench.networks import two_batches

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3)
    def forward(self, x):
        return self.conv(x).flatten(2).mean(-1).reshape(x.shape[0], 2, 4).transpose(1, 2).reshape(-1, 8)

image, network, own = (3, 8, 8), Network().eval(), os.getpid()
two_batches.count_usable_cores = lambda: 1
_, expected = two_batches.export_both(network, image)
two_batches.count_usable_cores = lambda: 2
two_batches.LEAST_WAIT_S = 1.0 if sys.argv[1] == "hangs" else 60.0
send, list_counterparts, here = two_batches._send_counterparts, two_batches._list_counterparts, []

def send_or_not(*arguments):
    print("said by the fork")
    {"works": lambda: None, "dies": lambda: os._exit(1), "hangs": lambda: time.sleep(600)}[sys.argv[1]]()
    send(*arguments)

def note(*arguments):
    here.append(os.getpid() == own)
    return list_counterparts(*arguments)

two_batches._send_counterparts, two_batches._list_counterparts = send_or_not, note
program, found = two_batches.export_both(network, image)
shapes = {(two_batches.read_shape(one), other.shape) for one, other in zip(program.graph.nodes, found, strict=True)}
print(found == expected, ((2, 2, 4), (3, 2, 4)) in shapes, here)
"""


@pytest.mark.thorough
@pytest.mark.parametrize(("fork", "computed_here"), [("works", "[]"), ("dies", "[True]"), ("hangs", "[True]")])
def test_a_fork_exports_the_second_size_or_else_this_process_does(fork, computed_here):
    command = [sys.executable, "-W", "ignore", "-c", EXPORT, fork]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == f"True True {computed_here}"
