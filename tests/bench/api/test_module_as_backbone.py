"""A `torch.nn.Module` as the backbone of `bench.run`: exported with its weights, the same one under the same name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.machine.environment import PROJECT

RUN = """
import sys, torch
from bench.api.run import run
import inspect
from bench.api import run_options
given = {one.name: one.default for one in inspect.signature(run).parameters.values() if one.name != "unknown"}

class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.drop = torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.Dropout(0.5)
    def forward(self, x):
        return self.drop(self.conv(x).relu()).mean((2, 3))

class Branching(Small):
    def forward(self, x):
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))

torch.manual_seed(0)
module = {"small": Small, "branching": Branching}[sys.argv[1]]()
names = []
for _ in range(2):
    given |= {"backbone": module, "image_size": int(sys.argv[2]) or None}
    try:
        names.append(run_options.make_request(given).overrides["backbone"])
    except Exception as error:
        print(type(error).__name__, error)
        sys.exit()
with torch.no_grad():
    module.conv.weight.add_(1)
names.append(run_options.make_request(given).overrides["backbone"])
print(names[0] == names[1], names[0] == names[2], module.training, names[0])
"""


def ask(kind: str, size: int, home) -> str:
    command = [sys.executable, "-W", "ignore", "-c", RUN, kind, str(size)]
    environment = {"HEADTOHEAD_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.mark.thorough
def test_the_same_module_has_the_same_name_and_other_weights_another(tmp_path):
    same, changed, mode, name = ask("small", 32, tmp_path).split()
    assert (same, changed, mode) == ("True", "False", "True")
    assert name.startswith("program/Small-")
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
