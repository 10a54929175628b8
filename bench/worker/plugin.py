"""The pytest plugin of a worker: the baton, and the session in which a case is built and measured."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import backends
from backends.base import Training
from backends.image_files import ImageFiles
from backends.values import DeviceMemory, Head, Order, Resolved
from bench.cache.features import Features
from bench.data.image_file import FILE_NUMBERS, read_image_file
from bench.data.order import draw_head, draw_training
from bench.data.undecoded_files import map_files
from bench.machine import memory
from bench.records.record import Phase
from bench.weights.exported_files import read_weights
from bench.worker import evidence, imported_modules, kernel_rounds, process_settings, warmup
from bench.worker.baton import Baton
from bench.worker.extraction import feature_extraction
from bench.worker.group.group_trainer import GroupTrainer
from bench.worker.group.peers import Peers
from bench.worker.hooks import WorkerHooks
from bench.worker.job import Job
from bench.worker.kernels import RATES
from bench.worker.lap_timer import LapTimer
from bench.worker.part_report import PartReport
from bench.worker.planted_fault import FaultyTraining
from bench.worker.step_parts import PARTS, RepeatedPart

#: The laps of a start, as records name them.
START_UP_LAPS = ("import", "data", "build", "extraction", "first_step", "closing", "harness")


class CaseSession:
    """A built case with its data, on which everything is measured. Building it measures the start-up."""

    def __init__(self, job: Job, baton: Baton) -> None:
        self.job, self.baton = job, baton
        self.task = job.task
        self.peers = Peers(job, baton)
        self.phases = GroupPhaseRecorder(self.peers)
        self.features: Features | None = None
        self.device: DeviceMemory | None = None
        self.warmups: dict[str, warmup.Warmup] = {}
        process_s = time.monotonic() - job.spawned
        laps = LapTimer()

        self._import(laps)
        head = self._read(laps)
        self._build(head, laps)
        if job.features:
            self._obtain_features(laps)
        self._take_first_step(laps)
        send_built = baton.give_back if job.rests else baton.send
        send_built(
            "built",
            can_rest=True,
            start_up={
                "process_s": process_s,
                **{f"{name}_s": laps.seconds[name] for name in START_UP_LAPS},
                "elapsed_s": time.monotonic() - job.spawned,
            },
            features=feature_extraction.describe_features(self.features),
            resolved=_describe_resolved(self.trainer.resolved, self.features is not None, self.peers),
            framework=self.backend.describe_build(),
        )
        if job.rests:
            baton.take()

    def _import(self, laps: LapTimer) -> None:
        """Import the framework, in each process of the case."""
        self.phases.end("interpreter")
        laps.end("harness")
        self.backend = self.peers.call(lambda: backends.load(self.job.backend), "load")
        laps.end("import")
        self.phases.end("import")
        laps.end("harness")

    def _read(self, laps: LapTimer) -> Head:
        """Read images and weights, and draw the order and the head, which is returned."""
        job, peers = self.job, self.peers
        peers.join(self.backend)
        data = peers.call(lambda: read_image_file(job.data), "read_data")
        peers.known |= data
        self.train = data["train_images"], data["train_labels"]
        self.files: ImageFiles | None = None
        if job.image_files:
            self.files = map_files(job.image_files, *self.task.framing, data.get(FILE_NUMBERS))
        self.test = data["test_images"], data["test_labels"]
        self.checkpoint = read_weights(job.checkpoint, self.task)
        self.order, head = self.draw(self.task.seed)
        laps.end("data")
        self.phases.end("data")
        return head

    def _build(self, head: Head, laps: LapTimer) -> None:
        """Build the trainer, in each process of the case."""
        self.baton.send("phase", name="build", compiles=True)
        laps.end("harness")
        share = self.peers.share
        task = share.take_task(self.task)
        trainer = self.peers.call(lambda: self.backend.build(task, share.variant, self.checkpoint, head), "build", head)
        self.trainer = GroupTrainer(trainer, self.peers) if self.peers.size > 1 else trainer
        laps.end("build")
        self.phases.end("build")
        self.trainer.reset_device_memory()

    def _obtain_features(self, laps: LapTimer) -> None:
        """Compute the features of all images, or read those that were kept."""
        self.baton.send("phase", name="reading features")
        laps.end("harness")
        self.features = feature_extraction.obtain(self.trainer, self.train[0], self.test[0], self.job, self.baton)
        self.peers.keep(train_features=self.features.train, test_features=self.features.test)
        laps.end("extraction")
        self.phases.end("extraction")

    def _take_first_step(self, laps: LapTimer) -> None:
        """Train a step, in which frameworks compile."""
        self.baton.send("phase", name="first step", compiles=True)
        laps.end("harness")
        training = self.start_training(self.order)
        training.advance(1)
        laps.end("first_step")
        self.phases.end("first step", children=True)
        laps.end("harness")
        training.close()
        laps.end("closing")

    def close(self) -> None:
        """End the other processes of the case, if it has any."""
        self.peers.end(self.backend)

    def start_training(self, order: Order) -> Training:
        """Start the training of the variant: from images, or of the head on cached features."""
        if self.features:
            return self.trainer.start_on_features(self.features.train, self.train[1], order)
        return self.trainer.start(*self.streamed, order)

    @property
    def streamed(self) -> tuple[np.ndarray | ImageFiles, np.ndarray]:
        """What the input pipeline reads: images, or files of images, and their labels."""
        return self.train[0] if self.files is None else self.files, self.train[1]

    def logits(self, at: int, size: int) -> np.ndarray:
        """Compute the class scores of `size` test images, starting with image `at`."""
        if self.features:
            return self.trainer.head_logits(self.features.test[at : at + size])
        return self.trainer.logits(self.test[0][at : at + size])

    def draw(self, seed: int) -> tuple[Order, Head]:
        """Draw the order of the images, their augmentation and the head's initial values from `seed`."""
        task = self.task
        head = draw_head(task.network.features, task.classes, seed)
        return draw_training(len(self.train[0]), task, seed), head

    def save_evidence(self) -> None:
        """Write the evidence for the proof of sameness to `proof.npz`."""
        self.baton.send("phase", name="proof", compiles=True)
        self.trainer.reset()
        began = time.perf_counter()
        report = PartReport(self.baton, evidence.count_proof_steps(self.task, self.job), "steps")
        found = evidence.gather_evidence(
            self.trainer, self.train, self.order, self.checkpoint, self.job, self.start_training, report, self.files
        )
        if self.features:
            found["cached_features"] = self.features.train[: self.job.proof_images]
        np.savez(self.job.folder / "proof.npz", allow_pickle=False, **found)
        self.trainer.reset()
        self.peers.call(
            memory.reset_peak, "reset_peak"
        )  # the memory that the proof needed belongs to no phase of a fine-tune
        self.baton.send("proven", seconds=time.perf_counter() - began)

    def start_rounds(self, kind: str, steps: int) -> Training:
        """Start what rounds of a kind time, for at least `steps` steps.

        Args:
            kind: `pipeline`, `compute`, `loader`, a part of a step, or a kernel.
        """
        if kind in RATES:
            return kernel_rounds.start_kernel(kind, self.backend, self.job)
        if kind in PARTS:
            return RepeatedPart(kind, self.trainer, *self.train, warmup.take_few_batches(self.order))
        if kind == "compute":
            return self.trainer.start_on_device(*self.train, warmup.take_few_batches(self.order))
        order = warmup.lengthen_order(self.order, steps)
        training = self.trainer.start_loading(*self.streamed, order) if kind == "loader" else self.start_training(order)
        return FaultyTraining(training, self.job.plant) if self.job.plant and kind == "pipeline" else training

    def report_memory(self) -> None:
        """Send the memory of all phases until now, and the device's peaks while training through the input pipeline."""
        device = self.device
        self.baton.send(
            "memory",
            host=self.phases.as_dicts(),
            resettable=self.phases.resettable,
            device_allocated=device.allocated if device else None,
            device_reserved=device.reserved if device else None,
        )

    def find_alterations(self) -> evidence.Arrays:
        """Find the tensors that the training has changed, see `bench.worker.evidence.find_alterations`."""
        return evidence.find_alterations(self.checkpoint, self.trainer.parameters())

    @property
    def evaluation_batch_size(self) -> int:
        """Images per batch of an evaluation."""
        return evidence.choose_evaluation_batch_size(self.task)


class GroupPhaseRecorder(memory.PhaseRecorder):
    """Records the host memory of all processes of a case."""

    def __init__(self, peers: Peers) -> None:
        super().__init__()
        self._peers = peers

    def end(self, name: str, children: bool = False) -> None:
        """See `PhaseRecorder.end`."""
        self.others = self._peers.pids
        _, *theirs = self._peers.make_calls(lambda: self._end_own(name, children), "end_phase", name, children)
        if theirs:
            self.ended[-1] = memory.add_phases([self.ended[-1], *theirs])

    def _end_own(self, name: str, children: bool) -> Phase:
        super().end(name, children)
        return self.ended[-1]


def _describe_resolved(resolved: Resolved, cached: bool, peers: Peers) -> dict[str, object]:
    """Describe what the variant became: by the backend, by this worker's features, and by the flags of the process."""
    own = {"features": "cached" if cached else "recomputed"}
    group: dict[str, object] = {"devices": peers.size, "cores": peers.list_cores()} if peers.size > 1 else {}
    group |= {"nodes": peers.nodes} if peers.nodes > 1 else {}
    flags = {**resolved.flags, **own, **process_settings.read_flags()}
    return dataclasses.asdict(resolved) | {"flags": flags} | group


class WorkerPlugin(WorkerHooks):
    """The hooks and fixtures of one job."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.descriptor)
        self.job = job

    def find_foreign_modules(self) -> dict[str, str]:
        """See `WorkerHooks`: modules of this suite from outside the folder in which the worker was started."""
        return imported_modules.find_suite_modules_outside(Path.cwd().resolve())

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Name the benchmarks after the case, so that they differ in a merged file."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", [self.job.case], ids=[self.job.case])

    @pytest.fixture(scope="session")
    def baton(self) -> Baton:
        """The baton of this worker."""
        return self._baton

    @pytest.fixture(scope="session", name="job")
    def job_fixture(self) -> Job:
        """The job of this worker."""
        return self.job

    @pytest.fixture(scope="session")
    def session(self, baton: Baton, request: pytest.FixtureRequest) -> Iterator[CaseSession]:
        """The built case; building it is the first measurement of a launch."""
        session = CaseSession(self.job, baton)
        yield session
        if not request.session.testsfailed:  # otherwise the processes are not at the same call
            session.close()
