"""A saved program with recurrence, pools and norms of its own, all of it trained: the same in other engines."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.machine.environment import PROJECT

WRITE = """
import sys, torch
from torch import nn
from torch.nn import functional

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 4, 2), nn.RMSNorm(8)
        self.lstm = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
    def forward(self, x):
        maps = functional.avg_pool2d(functional.max_pool2d(self.stem(x), 3, 2, 1), 2)
        hidden = self.lstm(self.norm(maps.flatten(2).transpose(1, 2)))[0]
        return functional.avg_pool1d(hidden.transpose(1, 2), 4).mean(2)

torch.manual_seed(0)
batch = {0: torch.export.Dim("batch")}
program = torch.export.export(Recurrent().eval(), (torch.zeros(2, 3, 32, 32),), dynamic_shapes=(batch,))
torch.export.save(program, sys.argv[1])
"""


@pytest.mark.thorough
def test_all_of_it_is_trained_as_in_pytorch(tmp_path):
    file = tmp_path / "recurrent.pt2"
    subprocess.run([sys.executable, "-W", "ignore", "-c", WRITE, str(file)], check=True)
    task = ("--task", "embedded", "--backbone", str(file), "--image-size", "32", "--trainable", "all", "--epochs", "1")
    cases = ("--train-limit", "64", "--backend", "pytorch", "--backend", "jax", "--backend", "tensorflow")
    command = [sys.executable, "-m", "bench", "parity", *task, *cases]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "first gradient below" in done.stdout
