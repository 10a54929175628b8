"""A `torch.nn.Module` as the backbone of `bench.run`: exported with its weights, the same one under the same name."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from bench.machine.environment import PROJECT

RUN = """
import contextlib, sys, torch
from types import SimpleNamespace
import bench
from bench.head_to_head import whole_run

class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.drop = torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.Dropout(0.5)
    def forward(self, x):
        return self.drop(self.conv(x).relu()).mean((2, 3))

class Branching(Small):
    def forward(self, x):
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))

names, commands = [], []

def note(request, console, command, **_):
    names.append(request.overrides["backbone"])
    commands.append(command)
    return SimpleNamespace(stopped=True)

whole_run.measure_run = note
torch.manual_seed(0)
module = {"small": Small, "branching": Branching}[sys.argv[1]]()
for _ in range(3):
    try:
        with contextlib.suppress(KeyboardInterrupt):
            bench.run(backbone=module, image_size=int(sys.argv[2]) or None)
    except bench.UserError as error:
        print(type(error).__name__, error)
        sys.exit()
    if len(names) == 2:
        with torch.no_grad():
            module.conv.weight.add_(1)
print(names[0] == names[1], names[0] == names[2], module.training, *commands[0])
"""


def ask(kind: str, size: int, home) -> str:
    command = [sys.executable, "-W", "ignore", "-c", RUN, kind, str(size)]
    environment = {"HEADTOHEAD_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.mark.thorough
def test_the_same_module_has_the_same_name_and_other_weights_another(tmp_path):
    same, changed, mode, *command = ask("small", 32, tmp_path).split()
    assert (same, changed, mode) == ("True", "False", "True")
    assert re.fullmatch("run --backbone program/Small-[0-9a-f]{12} --image-size 32", " ".join(command))
    assert len(list((tmp_path / "programs").iterdir())) == 2


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("kind", "size", "line"),
    [
        ("small", 0, "UserError backbone=Small is exported for one size of images: give image_size, too"),
        ("branching", 32, "UserError backbone=Branching: PyTorch cannot export it: "),
    ],
)
def test_a_module_that_cannot_be_exported_is_one_line(kind, size, line, tmp_path):
    said = ask(kind, size, tmp_path)
    assert said.startswith(line)
    assert "\n" not in said
