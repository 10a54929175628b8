"""Planted changes: commits in a clone of this repository that worsen training in a known way; a gate has to find them.

The constants are code of the backends, in which the changes are planted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError
from bench.machine.git import run_git

COMMIT_AUTHOR = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "gate-selftest"), ("EMAIL", "gate-selftest@localhost"))
}
STEP_CODE = "        loss = self._loss(inputs, labels)\n"
IMAGE_CODE = "        return self.transform(images[index]), int(labels[index])\n"
BUILD_CODE = "        self.checkpoint, self.initial_head = checkpoint, head\n"
COMPILE_CODE = "        self.train_steps = self._compile_training(partial(_run_in_sequence, self._train_step))\n"
UPDATE_CODE = "        self.updates.make(loss)\n"


@dataclass(frozen=True)
class PlantedChange:
    """A change to a backend's code.

    Attributes:
        name: a description for people.
        backend: the backend that is changed and gated.
        file: path, relative to the repository.
        old: code that is in the file exactly once.
        new: makes the code in its place from the seconds that a training step takes.
    """

    name: str
    backend: str
    file: str
    old: str
    new: Callable[[float], str]


def make_slower_step(share: float) -> PlantedChange:
    """A change after which every step of PyTorch busy-waits for a share of the time that a step takes."""
    return PlantedChange(
        f"step {share:.0%} slower",
        "pytorch",
        "backends/pytorch/trainer.py",
        STEP_CODE,
        lambda step: _make_wait_code(share * step) + STEP_CODE,
    )


#: Changes beside slower steps.
OTHER_CHANGES = (
    PlantedChange(
        "input pipeline slower, 10 % of a step an image",
        "pytorch",
        "backends/pytorch/pipeline.py",
        IMAGE_CODE,
        lambda step: _make_wait_code(0.1 * step) + IMAGE_CODE,
    ),
    PlantedChange(
        "40 MB more",
        "pytorch",
        "backends/pytorch/trainer.py",
        BUILD_CODE,
        lambda step: BUILD_CODE + "        self.ballast = np.ones(40 * 2**20, np.uint8)\n",
    ),
    PlantedChange(
        "freezing broken",
        "pytorch",
        "backends/pytorch/trainer.py",
        UPDATE_CODE,
        lambda step: (
            UPDATE_CODE + "        with torch.no_grad():\n            next(self.backbone.parameters()).mul_(1.001)\n"
        ),
    ),
    PlantedChange(
        "a needless copy of the weights in each step",
        "tensorflow",
        "backends/tensorflow/trainer.py",
        COMPILE_CODE,
        lambda step: (
            COMPILE_CODE
            + "        train_steps = self.train_steps\n\n"
            + "        def copying(batches):\n"
            + "            copies = [np.array(weight) for weight in self.backbone.weights]\n"
            + "            losses = train_steps(batches)\n"
            + "            del copies\n"
            + "            return losses\n\n"
            + "        self.train_steps = copying\n"
        ),
    ),
)


def commit_change(plant: PlantedChange, repository: Path, clone: Path, step: float) -> str:
    """Clone a repository and commit a planted change in the clone; return the commit before it.

    Args:
        plant: the change to commit.
        repository: the repository; its `HEAD` is the base.
        clone: folder for the clone, which does not exist yet.
        step: seconds that a training step takes.

    Raises:
        UserError: the code that the change replaces is not there.
    """
    cloning = {"GIT_ALLOW_PROTOCOL": "file"}
    run_git(repository, "clone", "--quiet", "--no-hardlinks", ".", str(clone), variables=cloning)
    base = run_git(clone, "rev-parse", "HEAD")
    file = clone / plant.file
    code = file.read_text()
    if code.count(plant.old) != 1:
        raise UserError(
            f"{plant.file} has changed, so that {plant.name!r} cannot be planted: adapt bench/gate/planted_changes.py"
        )
    file.write_text(code.replace(plant.old, plant.new(step)))
    run_git(clone, "commit", "--quiet", "--all", "--message", plant.name, variables=COMMIT_AUTHOR)
    return base


def _make_wait_code(seconds: float) -> str:
    """Code that busy-waits, so that it keeps its core as slow code does."""
    return (
        "        import time\n\n"
        f"        until = time.perf_counter() + {seconds!r}\n"
        "        while time.perf_counter() < until:\n            pass\n"
    )
