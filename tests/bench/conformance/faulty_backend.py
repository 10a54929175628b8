"""A backend that conforms, and does what `FAULTS` names: the arithmetic backend, in a package of its own."""

from __future__ import annotations

import atexit
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from backends.base import Trainer, Training
from backends.kernels import Kernel
from backends.knobs import check_variant
from backends.task import Task, Variant
from backends.values import Event, Group, Head, Order, Tensors, UnsupportedVariant
from tests.bench.arithmetic import Arithmetic, ArithmeticHead, ArithmeticTrainer
from tests.bench.conformance.faulty_package import NAME

FAULTS = set(os.environ.get("FAULTS", "").split(","))

if "sets a variable" in FAULTS:
    os.environ["FAULTY_THREADS"] = "7"
if "cannot be imported" in FAULTS:
    raise RuntimeError("driver not found")
if "another framework" in FAULTS:
    import mxnet  # type: ignore[import-not-found]  # noqa: F401


class FaultyTrainer(ArithmeticTrainer):
    def __init__(self, name: str, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> None:
        super().__init__(name, "", task, variant, checkpoint, head)
        *_, variance = (tensor for name, tensor in checkpoint.items() if name.endswith("running_var"))
        if "no normalisation" not in FAULTS:
            self.projection = self.projection / np.sqrt(variance + np.float32(1e-5))
        self.kept: list[np.ndarray] = []

    def features(self, images: np.ndarray) -> np.ndarray:
        if "alters images" in FAULTS:
            images[0, 0, 0] ^= 1
        found = super().features(images)
        return found.astype(np.float64) if "wrong dtype" in FAULTS else found

    def update(self, loss: float, gradient: Head) -> float:
        if "never trains" in FAULTS:
            return loss
        if "no momentum" in FAULTS:
            self.velocity = [np.zeros_like(array) for array in self.velocity]
        if "random" in FAULTS:
            gradient = Head(gradient.kernel + random.gauss(0, 1e-7), gradient.bias)
        if "own generator" in FAULTS:
            noise = np.random.mtrand._rand.normal(0, 1e-3, gradient.bias.shape).astype(np.float32)
            gradient = Head(gradient.kernel, gradient.bias + noise)
        return super().update(loss, gradient)

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        if "prints" in FAULTS:
            print("step", flush=True)
        if "reads the clock" in FAULTS:
            time.perf_counter()
        if "leaks" in FAULTS:
            self.kept.append(images.astype(np.float64))
        return super().step(images, labels)

    def reset(self, head: Head | None = None) -> None:
        velocity = getattr(self, "velocity", None)
        super().reset(head)
        if "keeps momentum" in FAULTS and velocity:
            self.velocity = velocity

    def start(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        if "own order" in FAULTS:
            order = Order(np.sort(order.permutations, axis=1), order.batch_size, order.drop_last)
        return FaultyTraining(self, images, labels, order)

    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        return ArithmeticHead(self, ((features[b], labels[b]) for b in order.batches()), 0)


class FaultyTraining(Training):
    def __init__(self, trainer: FaultyTrainer, images: np.ndarray, labels: np.ndarray, order: Order) -> None:
        self.trainer, self.images, self.labels = trainer, images, labels
        self.batches: Iterator[np.ndarray] = order.batches()
        self.ended = threading.Event()
        if "burns" in FAULTS:
            threading.Thread(target=self._spin, daemon=True).start()
        if "leaves a thread" in FAULTS:
            threading.Thread(target=threading.Event().wait, name="left", daemon=True).start()

    def _spin(self) -> None:
        while not self.ended.is_set():
            pass

    def advance(self, steps: int) -> float:
        total, count = 0.0, 0
        for _ in range(steps):
            batch = next(self.batches)
            loss = self.trainer.step(self.images[batch], self.labels[batch])
            weight = 1 if "counts batches" in FAULTS else len(batch)
            total, count = total + loss * weight, count + weight
        return total / count

    def close(self) -> None:
        self.batches = iter(())
        self.ended.set()


class FaultyBackend(Arithmetic):
    def join(self, group: Group, variant: Variant) -> None:
        raise UnsupportedVariant(f"{self.name} cannot train on several devices: use --devices 1")

    def build(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> Trainer:
        if "accepts everything" not in FAULTS:
            check_variant(self.name, variant, task)
        if task.batch_norm != "frozen" or task.trained:
            raise UnsupportedVariant(f"{self.name} trains only heads: use --trainable head")
        if "raises" in FAULTS:
            raise RuntimeError("no such device")
        if "writes a file" in FAULTS:
            Path("faulty.txt").write_text("x")
            Path("faulty.txt").unlink()
        if "saves arrays" in FAULTS:
            np.save("faulty.npy", head.bias)
            Path("faulty.npy").unlink()
        if "leaves a process" in FAULTS:
            print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
        if "dies at the end" in FAULTS:
            atexit.register(os.kill, os.getpid(), signal.SIGKILL)
        if "reads a file" in FAULTS:
            Path(__file__).read_text()
        return FaultyTrainer(self.name, task, variant, checkpoint, head)

    def kernel(self, kernel: Kernel, variant: Variant):
        if "dies" in FAULTS:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().kernel(kernel, variant)

    def profile(self, run, folder: str) -> list[Event]:
        run()
        return [Event("steps", "thread 1", False, 0.0, 1.0)]


BACKEND = FaultyBackend(NAME if "other name" not in FAULTS else "another")
