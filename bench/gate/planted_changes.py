"""Plants: real commits, in a clone of this repository, that do to training what a gate has to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError
from bench.gate.source_trees import git

AUTHOR = ("-c", "user.name=gate-selftest", "-c", "user.email=gate-selftest@localhost")
STEP = "        self.optimizer.zero_grad()\n        loss = self._loss(inputs, labels)\n        loss.backward()\n"
IMAGE = "        return self.transform(self.images[index]), int(self.labels[index])\n"
BUILT = "        self.checkpoint, self.initial_head = checkpoint, head\n"
COMPILED = "        self.train_steps = self.compiled(partial(_in_turn, self._train_step))\n"
UPDATED = "        self.optimizer.step()\n"


@dataclass(frozen=True)
class Plant:
    """A change to a backend's code.

    Attributes:
        name: for people.
        backend: whose code it changes, and which is gated.
        file: relative to the repository.
        old: its code, which is there once.
        new: from the seconds that a training step takes, the code in its place.
    """

    name: str
    backend: str
    file: str
    old: str
    new: Callable[[float], str]


def slower(share: float) -> Plant:
    """Every step of PyTorch waits, busily, for a share of the time that it takes."""
    return Plant(
        f"step {share:.0%} slower",
        "pytorch",
        "backends/pytorch/trainer.py",
        STEP,
        lambda step: _wait(share * step) + STEP,
    )


#: What is planted beside slower steps; each is gated once.
ONCE = (
    Plant(
        "input pipeline slower, 10 % of a step an image",
        "pytorch",
        "backends/pytorch/pipeline.py",
        IMAGE,
        lambda step: _wait(0.1 * step) + IMAGE,
    ),
    Plant(
        "40 MB more",
        "pytorch",
        "backends/pytorch/trainer.py",
        BUILT,
        lambda step: BUILT + "        self.ballast = np.ones(40 * 2**20, np.uint8)\n",
    ),
    Plant(
        "freezing broken",
        "pytorch",
        "backends/pytorch/trainer.py",
        UPDATED,
        lambda step: (
            UPDATED + "        with torch.no_grad():\n            next(self.backbone.parameters()).mul_(1.001)\n"
        ),
    ),
    Plant(
        "a needless copy of the weights in each step",
        "tensorflow",
        "backends/tensorflow/trainer.py",
        COMPILED,
        lambda step: (
            COMPILED
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


def committed(plant: Plant, repository: Path, clone: Path, step: float) -> str:
    """Clone a repository, commit a plant there; gives the commit before it.

    Args:
        plant: what to commit.
        repository: its `HEAD` is the base.
        clone: folder, which does not exist yet.
        step: seconds that a training step takes.

    Raises:
        UserError: the code is not there that the plant changes.
    """
    git(repository, "clone", "--quiet", "--no-hardlinks", ".", str(clone))
    base = git(clone, "rev-parse", "HEAD")
    file = clone / plant.file
    code = file.read_text()
    if code.count(plant.old) != 1:
        raise UserError(
            f"{plant.file} has changed, so that {plant.name!r} cannot be planted: adapt bench/gate/planted_changes.py"
        )
    file.write_text(code.replace(plant.old, plant.new(step)))
    git(clone, *AUTHOR, "commit", "--quiet", "--all", "--message", plant.name)
    return base


def _wait(seconds: float) -> str:
    """Code that waits without giving the core away, as slow code does."""
    return (
        "        import time\n\n"
        f"        until = time.perf_counter() + {seconds!r}\n"
        "        while time.perf_counter() < until:\n            pass\n"
    )
