"""What the measurements share: the baton, and the trainer as it was built under the clock."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

import backends
from backends.base import Training
from backends.values import DeviceMemory, Head, Order, Resolved
from bench.cache.features import Features
from bench.data.order import draw_order, initial_head
from bench.machine import memory
from bench.weights.checkpoint_folder import MODEL, read_model
from bench.worker import evidence, feature_extraction, kernel_rounds, process_settings, warmup
from bench.worker.channel import Channel
from bench.worker.job import Job
from bench.worker.kernels import RATES
from bench.worker.lap_timer import Laps
from bench.worker.planted_fault import Planted
from bench.worker.step_parts import PARTS, Part


class ConductorGone(Exception):
    """The conductor has died; a worker without one has nothing to do."""


class Baton:
    """The worker's side: it works only between `take` and `give_back`."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.held = True  # a worker is started holding it

    def say(self, event: str, **content: object) -> None:
        """Tell the conductor something; the baton stays here."""
        self.channel.send(event=event, **content)

    def give_back(self, event: str = "resting", **content: object) -> None:
        """Hand the baton over, if it is here."""
        if self.held:
            self.held = False
            self.channel.send(event=event, **content)

    def take(self) -> dict:
        """Wait, without using the CPU, until the conductor hands it here; return what it says with it."""
        message = self.channel.receive()
        if message is None:
            raise ConductorGone
        self.held = True
        return message


class Bench:
    """A built case and its data, on which everything is measured."""

    def __init__(self, job: Job, baton: Baton) -> None:
        self.job, self.baton = job, baton
        self.task = job.task
        self.phases = memory.Phases()
        self.device: DeviceMemory | None = None
        self.warm: dict[str, warmup.Warmup] = {}
        process_s = time.monotonic() - job.spawned
        laps = Laps()

        self.phases.end("interpreter")
        laps.end("harness")
        self.backend = backend = backends.load(job.backend)
        laps.end("import")
        self.phases.end("import")
        laps.end("harness")

        data = load_file(job.data)
        self.train = data["train_images"], data["train_labels"]
        self.test = data["test_images"], data["test_labels"]
        self.checkpoint = read_model(job.checkpoint / MODEL, self.task.network)
        self.order, head = self.drawn(self.task.seed)
        laps.end("data")
        self.phases.end("data")
        baton.say("phase", name="build")
        laps.end("harness")

        self.trainer = backend.build(self.task, job.variant, self.checkpoint, head)
        laps.end("build")
        self.phases.end("build")
        self.trainer.reset_device_memory()
        self.features: Features | None = None
        if job.features:
            baton.say("phase", name="extraction")
            laps.end("harness")
            self.features = feature_extraction.obtain(self.trainer, self.train[0], self.test[0], job)
            laps.end("extraction")
            self.phases.end("extraction")
        baton.say("phase", name="first step")
        laps.end("harness")

        training = self.begin(self.order)
        training.advance(1)
        laps.end("first step")
        self.phases.end("first step", children=True)
        laps.end("harness")
        training.close()
        laps.end("closing")
        spent = laps.seconds
        tell = baton.give_back if job.rests else baton.say
        tell(
            "built",
            start_up={
                "process_s": process_s,
                "import_s": spent["import"],
                "data_s": spent["data"],
                "build_s": spent["build"],
                "extraction_s": spent["extraction"],
                "first_step_s": spent["first step"],
                "closing_s": spent["closing"],
                "harness_s": spent["harness"],
                "elapsed_s": time.monotonic() - job.spawned,
            },
            features=feature_extraction.told(self.features),
            resolved=_resolved(self.trainer.resolved),
            framework=backend.about(),
        )
        if job.rests:
            baton.take()

    def begin(self, order: Order) -> Training:
        """Training as the variant has it: from images, or of the head alone on cached features."""
        if self.features:
            return self.trainer.start_on_features(self.features.train, self.train[1], order)
        return self.trainer.start(*self.train, order)

    def logits(self, at: int, size: int) -> np.ndarray:
        """Class scores of a batch of test images, from the `at`-th on."""
        if self.features:
            return self.trainer.head_logits(self.features.test[at : at + size])
        return self.trainer.logits(self.test[0][at : at + size])

    def drawn(self, seed: int) -> tuple[Order, Head]:
        """The order of images and the head's initial values that `seed` draws."""
        task = self.task
        order = draw_order(len(self.train[0]), task.epochs, task.batch_size, task.last_batch == "dropped", seed)
        return order, initial_head(task.network.features, task.classes, seed)

    def give_evidence(self) -> None:
        """Leave what the proof of sameness compares in `proof.npz`."""
        self.baton.say("phase", name="proof")
        self.trainer.reset()
        began = time.perf_counter()
        found = evidence.evidence(self.trainer, self.train, self.order, self.checkpoint, self.job, self.begin)
        if self.features:
            found["cached_features"] = self.features.train[: self.job.proof_images]
        np.savez(self.job.folder / "proof.npz", allow_pickle=False, **found)
        self.trainer.reset()
        memory.reset_peak()  # what the proof needed belongs to no phase of a fine-tune
        self.baton.say("proven", seconds=time.perf_counter() - began)

    def start(self, kind: str, steps: int) -> Training:
        """Training that has `steps` steps or more ahead of it: `pipeline`, `compute`, `loader`, a step's part, or a
        kernel.
        """
        if kind in RATES:
            return kernel_rounds.start(kind, self.backend, self.job)
        if kind in PARTS:
            return Part(kind, self.trainer, *self.train, warmup.few_batches(self.order))
        if kind == "compute":
            return self.trainer.start_on_device(*self.train, warmup.few_batches(self.order))
        order = warmup.lengthened(self.order, steps)
        training = self.trainer.start_loading(*self.train, order) if kind == "loader" else self.begin(order)
        return Planted(training, self.job.plant) if self.job.plant and kind == "pipeline" else training

    def report_memory(self) -> None:
        """Tell the sizes of all phases until now, and the device's peaks in training through the input pipeline."""
        device = self.device
        self.baton.say(
            "memory",
            host=self.phases.told(),
            resettable=self.phases.resettable,
            device_allocated=device.allocated if device else None,
            device_reserved=device.reserved if device else None,
        )

    def unchanged_tensors(self) -> evidence.Arrays:
        """What training did to the tensors that should be frozen."""
        return evidence.alterations(self.checkpoint, self.trainer.parameters())

    @property
    def evaluation_batch(self) -> int:
        """Images per batch of an evaluation."""
        return evidence.evaluation_batch(self.task)


def _resolved(told: Resolved) -> dict[str, object]:
    """What the backend says of its variant, and what the process tells."""
    return dataclasses.asdict(told) | {"flags": {**told.flags, **process_settings.flags()}}


class Worker:
    """The pytest plugin: hooks and fixtures of one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._baton = Baton(Channel.from_descriptor(job.descriptor))

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Name the benchmarks after the case, so that they are told apart in a merged file."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", [self.job.case], ids=[self.job.case])

    def pytest_exception_interact(self, call: pytest.CallInfo) -> None:
        """Tell the conductor why this worker is about to end."""
        error = call.excinfo.value if call.excinfo else None
        if not isinstance(error, (ConductorGone, pytest.skip.Exception)):
            self._baton.say("failed", reason=f"{type(error).__name__}: {error}".splitlines()[0])

    def pytest_benchmark_generate_machine_info(self) -> dict[str, object]:
        """Nothing: the conductor tells of the machine, once, and pytest-benchmark's own look takes seconds."""
        return {"kept": "in environment.json"}

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Hold this worker back until the last round of all is over: saving costs seconds of CPU."""
        self._baton.give_back("finished")
        if self._baton.channel.receive() is None:
            raise ConductorGone

    @pytest.fixture(scope="session")
    def baton(self) -> Baton:
        """The baton."""
        return self._baton

    @pytest.fixture(scope="session", name="job")
    def told(self) -> Job:
        """What this worker was told."""
        return self.job

    @pytest.fixture(scope="session")
    def bench(self, baton: Baton) -> Bench:
        """The built case; building it is the first thing that a launch measures."""
        return Bench(self.job, baton)
