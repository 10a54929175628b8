"""The record: what one launch of one case measured. Tables are made from records alone."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from backends.task import Task, Variant

SCHEMA = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Doubt(_Frozen):
    """A doubt about a measurement: a stable name, the evidence in figures, and what to do about it."""

    name: str
    evidence: str
    advice: str


class Rounds(_Frozen):
    """The timed rounds of one kind: `seconds[i]` is the wall time of `steps` training steps on `images` images."""

    kind: Literal["pipeline", "compute"]
    steps: int
    images: int
    seconds: tuple[float, ...]
    warmup_steps: int


class Memory(_Frozen):
    """Peaks in bytes. Host: resident, by phase (VmHWM, reset between phases). Device: None where there is no GPU."""

    host_interpreter: int | None
    host_import: int | None
    host_build: int | None
    host_training: int | None
    device_allocated: int | None
    device_reserved: int | None
    nvml_device: int | None


class StartUp(_Frozen):
    """Seconds that the import of the framework took, the build, and the first step (input pipeline's start, trace)."""

    import_s: float
    build_s: float
    first_step_s: float


class FineTune(_Frozen):
    """The whole fine-tune, done for real. Accuracy and predictions are None with random weights."""

    seconds: float
    evaluation_s: float
    train_loss: tuple[float, ...]
    train_images: int
    test_images: int
    correct: int | None


class Check(_Frozen):
    """One step of the proof of sameness: the largest difference seen, what is allowed, and what it compares."""

    name: str
    difference: float
    tolerance: float
    passed: bool
    detail: str


class Proof(_Frozen):
    """The proof of sameness against PyTorch fp32 eager.

    `status` is `proven`, `reference` (it is the reference itself), `failed`, or `unproven` (no reference to
    compare with); `reason` says why a case is not comparable.
    """

    status: Literal["proven", "reference", "failed", "unproven"]
    reason: str
    checks: tuple[Check, ...]
    weights_hash: str
    order_hash: str
    seconds: float

    @property
    def comparable(self) -> bool:
        """Whether ratios to other cases may be printed."""
        return self.status in ("proven", "reference")


class Failure(_Frozen):
    """A worker that did not finish: in which phase, why in one line, and the last lines it printed."""

    phase: str
    reason: str
    last_lines: tuple[str, ...]


class Record(_Frozen):
    """One launch of one case. `failure` is set where it did not finish; what it had measured is kept."""

    schema_version: int = SCHEMA
    run: str
    suite: str
    case: str
    task: Task
    task_hash: str
    overridden: tuple[str, ...]
    backend: str
    variant: Variant
    launch: int
    started: str
    dataset_fingerprint: str
    checkpoint_hash: str
    resolved: dict[str, object]
    start_up: StartUp | None
    memory: Memory | None
    pipeline: Rounds | None
    compute: Rounds | None
    fine_tune: FineTune | None
    proof: Proof | None
    benchmarks: tuple[dict[str, object], ...]
    warnings: tuple[Doubt, ...]
    failure: Failure | None
