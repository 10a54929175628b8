"""The arithmetic backend, for tests of processes: it needs only NumPy, starts quickly, and can have planted faults.

It implements the whole contract of a backend and is run by real workers, but it has no network. Its features are the
image, averaged to 8 x 8 pixels, times the checkpoint's last kernel.

The fault is the name of the task, or the value of `$PLANTED_<NAME>` for one backend: `raise in build`, `raise in
round`, `raise in fine-tune`, `die in round` (by SIGKILL), `hang in round`, `exhaust memory in round`, `other features`
(wrong ones, when the head trains on cached features), `slow look` (50 ms for the class scores of each batch of cached
features), `slow extraction` (5 s of making, a quarter of it on the CPU, and 0.3 s for each 32 images), `hang in
extraction`, `hang in fine-tune`, `sleep N`: N ms in every step, `fill N`: N MB for each image of a batch, or `no memory
above N`: an error in larger batches. On several devices it is planted in process 0, but for these: `peer dies in
round`, `peer hangs in round`, `peer raises in build`, `no average` (of the gradients), `no division` (every process
trains on whole batches), and `no division in the pipeline`. With `$PORT_TAKEN` the first port at which processes meet
is taken.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from backends.base import Backend, Trainer, Training
from backends.extraction import ExtractionForm, Extractor
from backends.kernels import Kernel
from backends.knobs import get_value
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Group, Head, Order, Resolved, Tensors
from bench.worker import warmup
from tests.bench.arithmetic.exchange import Exchange

#: Arithmetic needs almost no warm-up: blocks of 2 ms, a few steps, are enough.
BLOCK_SECONDS = 0.002
ALONE = Exchange(Group())


class ArithmeticTrainer(Trainer):
    """Softmax regression by SGD with momentum on fixed features."""

    def __init__(
        self,
        name: str,
        fault: str,
        task: Task,
        variant: Variant,
        checkpoint: Tensors,
        head: Head,
        exchange: Exchange = ALONE,
    ) -> None:
        self.fault, self.task, self.variant, self.initial_head = fault, task, variant, head
        self.exchange, self.group = exchange, exchange.group
        if self.group.rank and fault.startswith("peer "):
            self.fault = {"peer dies in round": "die in round", "peer hangs in round": "hang in round"}.get(fault, "")
        elif self.group.rank and not fault.startswith("no "):
            self.fault = ""
        if fault == "peer raises in build" and self.group.rank:
            raise ValueError("planted: raised in a peer")
        if self.fault == "raise in build":
            raise ValueError("planted: raised in build\nand a second line")
        self.checkpoint = checkpoint
        last = [tensor for tensor in checkpoint.values() if tensor.ndim == 4][-1]
        self.projection = np.ascontiguousarray(last.reshape(len(last), -1)[:, :192].T)
        self.started = 0
        self.reset()
        self.resolved = Resolved(
            "numpy",
            {"numpy": np.__version__},
            "cpu",
            get_value(name, variant, "execution"),
            "none",
            get_value(name, variant, "layout"),
            "fp32",
            variant.threads or 1,
            1,
            "a generator",
            {"exchange": "pickle"} if self.group.size > 1 else {},
        )

    def preprocess(self, images: np.ndarray, *rows: np.ndarray) -> np.ndarray:
        side = self.task.image_size // images.shape[1]
        large = images.repeat(side, axis=1).repeat(side, axis=2).astype(np.float32) / 255
        return ((large - self.task.mean) / self.task.std).astype(np.float32)

    def features(self, images: np.ndarray) -> np.ndarray:
        inputs = self.preprocess(images)
        side = inputs.shape[1] // 8
        small = inputs.reshape(-1, 8, side, 8, side, 3).mean(axis=(2, 4)).reshape(len(inputs), -1)
        return np.maximum(small @ self.projection, 0)

    def list_extraction_forms(self) -> Sequence[ExtractionForm]:
        (form,) = super().list_extraction_forms()
        return [replace(form, batch_size=32) if self.fault.endswith("extraction") else form]

    def make_extractor(self, form: ExtractionForm) -> Extractor:
        for _ in range(25 if self.fault == "slow extraction" else 0):
            now = time.monotonic()
            while time.monotonic() < now + 0.05:
                pass
            time.sleep(0.15)

        def extract(images: np.ndarray) -> np.ndarray:
            time.sleep({"slow extraction": 0.3, "hang in extraction": 3600}.get(self.fault, 0.0))
            return self.features(images)

        return extract

    def logits(self, images: np.ndarray) -> np.ndarray:
        return self.features(images) @ self.kernel + self.bias

    def loss_and_gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        loss, gradient = self.of_features(self.features(self.take(images)), self.take(labels))
        return loss, self.average(gradient)

    def take(self, batch: np.ndarray) -> np.ndarray:
        return batch if self.fault == "no division" else self.group.take(batch)

    def share(self, order: Order) -> Order:
        return order if self.fault.startswith("no division") else order.share(self.group)

    def average(self, gradient: Head) -> Head:
        return gradient if self.fault == "no average" else Head(*self.exchange.average(gradient))

    def of_features(self, features: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        logits = features @ self.kernel + self.bias
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        p = shifted / shifted.sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        loss = float(-np.log(p[rows, labels]).mean())
        p[rows, labels] -= 1
        p /= len(labels)
        return loss, Head(features.T @ p, p.sum(axis=0))

    def step(self, images: np.ndarray, labels: np.ndarray, *rows: np.ndarray) -> float:
        return self.train(self.take(images), self.take(labels))

    def train(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Train on this process' share of a batch."""
        kind, _, number = self.fault.partition(" ")
        if kind == "sleep":
            time.sleep(float(number) / 1000)
        loss, gradient = self.of_features(self.features(images), labels)
        return self.update(loss, self.average(gradient))

    def update(self, loss: float, gradient: Head) -> float:
        self.velocity = [
            self.task.momentum * v - self.task.learning_rate * g for v, g in zip(self.velocity, gradient, strict=True)
        ]
        self.kernel, self.bias = self.kernel + self.velocity[0], self.bias + self.velocity[1]
        return loss

    def start(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        self.started += 1
        return ArithmeticTraining(self, ((images[b], labels[b]) for b in self.share(order).batches()), self.started)

    def start_loading(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        return ArithmeticLoading((images[b], labels[b]) for b in self.share(order).batches())

    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        batches = [(images[b], labels[b]) for b in self.share(order).batches()]
        return ArithmeticTraining(self, itertools.cycle(batches), 0)

    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        self.started += 1
        features = features * 1.01 if self.fault == "other features" else features
        return ArithmeticHead(self, ((features[b], labels[b]) for b in self.share(order).batches()), 0)

    def head_logits(self, features: np.ndarray) -> np.ndarray:
        if self.fault == "slow look":
            time.sleep(0.05)
        return features @ self.kernel + self.bias

    def head(self) -> Head:
        return Head(self.kernel.copy(), self.bias.copy())

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: tensor.copy() for name, tensor in self.checkpoint.items()}

    def reset(self, head: Head | None = None) -> None:
        self.initial_head = head or self.initial_head
        self.kernel, self.bias = self.initial_head.kernel.copy(), self.initial_head.bias.copy()
        self.velocity = [np.zeros_like(self.kernel), np.zeros_like(self.bias)]

    def reset_device_memory(self) -> None:
        pass

    def device_memory(self) -> DeviceMemory | None:
        return None


class ArithmeticTraining(Training):
    """A loop over batches. Like a DataLoader it has a child process, which ends together with this one.

    `number` counts the starts of a pipeline: 1 first step, 2 proof, 3 warm-up, 4 rounds, 5 fine-tune; 0 is none.
    """

    def __init__(
        self, trainer: ArithmeticTrainer, batches: Iterator[tuple[np.ndarray, np.ndarray]], number: int
    ) -> None:
        self.trainer, self.batches, self.number, self.calls = trainer, batches, number, 0
        self.child = subprocess.Popen(["cat"], stdin=subprocess.PIPE) if number else None

    def advance(self, steps: int) -> float:
        self.calls += 1
        self._fail()
        losses = []
        for _ in range(steps):
            images, labels = next(self.batches)
            self._fill(len(labels))
            losses += [self.trainer.train(images, labels)] * len(labels)
        return float(np.mean(losses))

    def close(self) -> None:
        self.batches = iter(())
        if self.child:
            self.child.communicate()

    def _fill(self, images: int) -> None:
        what, _, number = self.trainer.fault.rpartition(" ")
        if what == "fill":
            held = np.ones(int(number) * images * 2**20, np.uint8)
            time.sleep(0.2)
            del held
        elif what == "no memory above" and images > int(number):
            raise MemoryError("planted")

    def _fail(self) -> None:
        fault = self.trainer.fault
        if fault == "raise in fine-tune" and self.number == 5:
            raise ArithmeticError("planted: raised in fine-tune")
        if fault == "hang in fine-tune" and self.number == 5:
            time.sleep(3600)
        if self.number == 4 and self.calls == 3:  # the second timed round: the pipeline's start is the first call
            if fault == "raise in round":
                raise ArithmeticError("planted: raised in round")
            if fault == "die in round":
                print("the last words", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == "exhaust memory in round":
                np.ones(2**60, np.uint8)
            if fault == "hang in round":
                time.sleep(3600)


class ArithmeticHead(ArithmeticTraining):
    """A loop over batches of features, which trains the head."""

    def advance(self, steps: int) -> float:
        losses = []
        for _ in range(steps):
            features, labels = next(self.batches)
            loss, gradient = self.trainer.of_features(features, labels)
            self.trainer.update(loss, self.trainer.average(gradient))
            losses += [loss] * len(labels)
        return float(np.mean(losses))


class ArithmeticLoading(Training):
    """Batches that are loaded and not used."""

    def __init__(self, batches: Iterator[tuple[np.ndarray, np.ndarray]]) -> None:
        self.batches = batches

    def advance(self, steps: int) -> float:
        for _ in range(steps):
            next(self.batches)
        return 0.0

    def close(self) -> None:
        self.batches = iter(())


class Arithmetic(Backend):
    def __init__(self, name: str) -> None:
        self.name = name
        self.exchange = ALONE
        warmup.BLOCK_SECONDS = BLOCK_SECONDS  # in a worker, whose backend this is; not in tests that import this module

    def describe_build(self) -> dict[str, str]:
        return {"build": "NumPy"}

    def join(self, group: Group, variant: Variant) -> None:
        if group.rank == 0 and os.environ.pop("PORT_TAKEN", ""):
            raise OSError(98, "Address already in use")
        self.exchange = Exchange(group)

    def leave(self) -> None:
        self.exchange.close()

    def build(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> Trainer:
        fault = os.environ.get(f"PLANTED_{self.name.upper().replace('-', '_')}", task.name)
        return ArithmeticTrainer(self.name, fault, task, variant, checkpoint, head, self.exchange)

    def kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """A small product for every kernel: it is fast, and its figures mean nothing."""
        a = np.linspace(-1, 1, 64 * 64).reshape(64, 64)
        return lambda times: [a @ a for _ in range(times)]

    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """Return two events, one inside the other."""
        began = time.perf_counter()
        run()
        took = 1e6 * (time.perf_counter() - began)
        return [Event("steps", "thread 1", False, 0.0, took), Event("product", "thread 1", False, took / 4, took / 2)]
