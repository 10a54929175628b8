"""A place in which the commands of a page run: the project in a repository, data, a stored run, small suites."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from backends.backbones import BACKBONES
from bench.data import cifar10
from bench.plan import suite
from bench.weights import random_weights
from bench.weights.checkpoint_folder import MODEL, write_config, write_model
from tests.bench.data.batches import BATCHES, python2_pickle
from tests.bench.gate.repository import git
from tests.bench.processes import SITE

REFERENCE = "results/reference/20261126T164841Z-quick"
ENVIRONMENT = Path(sys.prefix)
IMAGES_OF_A_BATCH = 30
#: Limits of time and starts, which commands would use up on figures that mean nothing.
SHORTER = {
    r"(bench run .*--max-time )\S+": r"\g<1>5s",
    r"(bench tune .*--budget )\S+": r"\g<1>20s",
    r"(memory_of_a_step\.py)$": r"\g<1> 1",
}
LAUNCHES_OPTION = re.compile(r"(bench run .*--launches )\S+")
#: What stands for a run in the folder of results, and for other values that a reader chooses.
STANDS_FOR = {
    "RUN": "20261126T164841Z-quick",
    "OTHER": "20261127T080000Z-quick",
    "THIRD": "20261127T090000Z-quick",
    "FORMAT": "csv",
    "FILE": "file",
    "FOLDER": "results/merged",
}
#: Places of runs outside the folder of results.
PLACES_OF_RUNS = ("path/to/a/colleagues/run", "path/to/run/of/machine/B", "path/to/run/of/machine/C")
#: A command that ends with the status of a verdict, without its comment.
GATE = re.compile(r"^(?:bench gate|nox -s regress) [^#]*[^# ]")
#: What makes a suite small.
SMALL = {"rounds": 2, "round_seconds": 0.02, "proof_images": 4, "proof_steps": 3}
#: Launches of a suite, if one is too few: a gate needs several for its verdict.
LAUNCHES = {"gate": 3}


def write_suites(folder: Path) -> Path:
    """Write the project's suites with little effort."""
    folder.mkdir()
    for path in suite.FOLDER.glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        launches = LAUNCHES.get(path.stem, 1)
        for name, value in {**SMALL, "launches": launches}.items():
            text = re.sub(rf"^{name} = .*\n", "", text, flags=re.M)
            text = text.replace("\n", f"\n{name} = {value}\n", 1)
        text = re.sub(r'(task = "embedded"\n)(?!override)', r"\1override = { train_limit = 64, epochs = 2 }\n", text)
        (folder / path.name).write_text(text, encoding="utf-8")
    return folder


def write_images(folder: Path) -> None:
    """Write CIFAR-10's batches with a few random images each."""
    folder.mkdir(parents=True)
    for number, name in enumerate(BATCHES):
        generator = np.random.default_rng(number)
        rows = generator.integers(0, 256, (IMAGES_OF_A_BATCH, 3072), dtype=np.uint8)
        labels = [int(label) for label in generator.integers(0, 10, IMAGES_OF_A_BATCH)]
        (folder / name).write_bytes(python2_pickle({b"data": rows, b"labels": labels}))


def write_home(home: Path) -> None:
    """Write a home with images, and with drawn weights under the names of the published ones."""
    write_images(home / "datasets" / cifar10.FOLDER)
    for backbone in BACKBONES.values():
        for name in backbone.weights:
            folder = home / "checkpoints" / f"{backbone.name}-{name}"
            folder.mkdir(parents=True)
            write_model(folder / MODEL, random_weights.draw_weights(backbone, 0), "drawn")
            write_config(folder, backbone)


def link_environment(project: Path) -> None:
    """Give a copy of the project the environment of these tests, as if nox had installed it."""
    folder = project / ".venv"
    folder.mkdir()
    for path in ENVIRONMENT.iterdir():
        if path.name != "installed-from":
            (folder / path.name).symlink_to(path)
    (folder / "installed-from").write_text(hashlib.sha256((project / "pyproject.toml").read_bytes()).hexdigest())


def prepare(project: Path, pristine: Path) -> Path:
    """Copy the project, with what its pages take for granted: a remote, a tag, a run, images and its environment."""
    shutil.copytree(pristine, project)
    git(project, "branch", "--force", "main")
    git(project, "switch", "--quiet", "main")
    git(project, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(project, "tag", "v1.2")
    source = Path(__file__).parents[2] / REFERENCE
    shutil.copytree(source, project / REFERENCE)
    for place in ("RUN", "OTHER", "THIRD"):
        shutil.copytree(source, project / "results" / STANDS_FOR[place])
    for path in PLACES_OF_RUNS:
        shutil.copytree(source, project / path)
    shutil.copytree(project / "results", project / "shared/results")
    write_images(project / "path/to/cifar-10-batches-py")
    link_environment(project)
    return project


def run_commands(commands: Iterable[str], project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run commands one after the other in a shell that ends at the first that fails; a gate has a verdict."""
    path = f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": f"{SITE}{os.pathsep}{project}",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "SHORT_WARMUP": "1",
        **variables,
    }
    environment.pop("COLUMNS", None)
    for word, value in STANDS_FOR.items():
        commands = [re.sub(rf"(?<![\w-]){word}(?![\w-])", value, command) for command in commands]
    launches = 2 if "bench baseline save" in " ".join(commands) else 1  # as many as a baseline needs
    commands = [LAUNCHES_OPTION.sub(rf"\g<1>{launches}", command) for command in commands]
    for limit, shorter in SHORTER.items():
        commands = [re.sub(limit, shorter, command) for command in commands]
    script = "\n".join(["set -ex", *(GATE.sub(r"\g<0> || ends_with_verdict", one) for one in commands)])
    script = f"ends_with_verdict() {{ case $? in 1|3) ;; *) exit 1;; esac; }}\n{script}"
    return subprocess.run(
        ["bash", "-c", script],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
