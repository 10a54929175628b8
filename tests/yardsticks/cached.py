"""The whole fine-tune on cached features against the plain script, each from its process' start to the accuracy."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors.numpy import save_file

from backends.task import Task, Variant
from bench import data
from bench.machine.environment import PROJECT
from bench.measure.worker_environment import build_environment
from bench.plan import variants
from bench.plan.request import CACHE_LIMIT
from tests.yardsticks import case, measuring_phase
from tests.yardsticks.extent import Extent
from tests.yardsticks.script_in_worker import get_script
from tests.yardsticks.target import Target, of_ratios

EPOCHS, MANY_EPOCHS = 2, 20
#: How many times as fast as the script, by backend, where it is required; and in 20 epochs.
WANTED = {"pytorch": 12, "tensorflow": 10, "keras": 8}
WANTED_MANY = 40
#: Test images, as a share of those for training: CIFAR-10's own.
TEST_SHARE = 5


@dataclass(frozen=True)
class Script:
    """Seconds of a script: of the whole, from outside, and of its training."""

    whole: float
    training: float

    def of(self, epochs: int) -> float:
        """What it takes for so many epochs, of which two were run."""
        return self.whole + (epochs / EPOCHS - 1) * self.training


def targets(extent: Extent) -> Iterator[Target]:
    """Pairs of a script and ours."""
    images = _images(extent)
    for backend in extent.backends:
        ys: dict[tuple[str, int, bool], list[float]] = {}
        for number in range(1 if extent.quick else max(2, extent.launches // 2)):
            extent.say(f"{backend}, pair {number + 1}: the plain script, {EPOCHS} epochs")
            script = run_script(backend, images)
            extent.say(f"  {script.whole:.1f} s, of which training {script.training:.1f} s")
            for variant, epochs, hit, seconds in _ours(backend, images, extent):
                y = math.log(script.of(epochs) / seconds)
                extent.say(f"  {variant.name}, {epochs} epochs, {_found(hit)}: {seconds:.2f} s, {math.exp(y):.1f} ×")
                ys.setdefault((variant.name, epochs, hit), []).append(y)
        for (name, epochs, hit), found in ys.items():
            least = WANTED_MANY if epochs == MANY_EPOCHS else WANTED.get(backend)
            note = f"the script's {epochs} epochs computed from {EPOCHS}" if epochs != EPOCHS else ""
            title = f"{backend}, {epochs} epochs: {name}, {_found(hit)}"
            yield of_ratios(title, found, least=least, style=".1f", note=note)


def _found(hit: bool) -> str:
    return "features found" if hit else "nothing kept"


def _images(extent: Extent) -> Path:
    """A worker's file with the requested number of images."""
    folder = extent.folder("images")
    if extent.data_dir is None:
        return case.write_images(folder, extent.images, extent.images // TEST_SHARE)
    dataset = data.load("cifar10", extent.data_dir)
    arrays = {}
    for part, n in (("train", extent.images), ("test", extent.images // TEST_SHARE)):
        for kind in ("images", "labels"):
            arrays[f"{part}_{kind}"] = getattr(dataset, f"{part}_{kind}")[:n].copy()
    save_file(arrays, folder / "data.safetensors")
    return folder / "data.safetensors"


def run_script(backend: str, images: Path) -> Script:
    """Run the plain script in a process of its own, with the environment that a worker has."""
    job = case.job(backend, images, 0)
    command = [
        sys.executable,
        "-m",
        "tests.yardsticks.tutorial",
        get_script(backend, "script"),
        str(images),
        str(EPOCHS),
    ]
    began = time.perf_counter()
    stages = {}
    with subprocess.Popen(
        command, cwd=PROJECT, env=build_environment(job), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                message = json.loads(line)
                stages[message["stage"]] = message["seconds"]
                whole = time.perf_counter() - began
    if process.returncode or "evaluation" not in stages:
        raise RuntimeError(f"the script of {backend} ended with exit status {process.returncode}")
    return Script(whole, stages["training"])


def _ours(backend: str, images: Path, extent: Extent) -> Iterator[tuple[Variant, int, bool, float]]:
    """Variant, epochs, whether the features were found, and seconds from the process' start to the accuracy."""
    for precision in ("fp32", "bf16"):
        settings = {"features": "cached", **({"precision": "bf16"} if precision == "bf16" else {})}
        variant = case.variant(**settings)
        if variants.explain_unsupported(backend, variant, case.TASK) is not None:
            continue
        folder = extent.folder(f"features-{backend}")
        for epochs, entry in ((EPOCHS, "a"), (EPOCHS, "a"), (MANY_EPOCHS, "b")):
            file = folder / f"{entry}.safetensors"
            hit = file.exists()
            seconds = fine_tune_seconds(backend, images, case.task(epochs=epochs), variant, file, extent)
            yield variant, epochs, hit, seconds


def fine_tune_seconds(
    backend: str, images: Path, task: Task, variant: Variant, features: Path, extent: Extent
) -> float:
    """One worker of the project's, as `bench run` starts it, without rounds; the times of its parts are shown."""
    job = case.job(
        backend, images, 0, task, variant, features=features, cache_limit=CACHE_LIMIT, seeds=(task.seed,), kinds=()
    )
    (outcome,) = measuring_phase.launch([job], measuring_phase.Silent()).outcomes
    start, tuned = outcome.messages["built"]["start_up"], outcome.messages[f"fine-tuned {task.seed}"]
    parts = {**start, **{f"tuning {name}": value for name, value in tuned.items() if name.endswith("_s")}}
    parts["head"] = tuned["seconds"]
    extent.say("    " + ", ".join(f"{name.removesuffix('_s')} {value:.2f}" for name, value in parts.items()))
    return start["elapsed_s"] + tuned["elapsed_s"]
