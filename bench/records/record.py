"""The record: what one launch of one case measured. Tables are made from records alone."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from backends.task import Task, Variant

SCHEMA = 3


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Doubt(_Frozen):
    """A doubt about a measurement: a stable name, the evidence in figures, and what to do about it."""

    name: str
    evidence: str
    advice: str


class Rounds(_Frozen):
    """The timed rounds of one kind: `seconds[i]` is the wall time of `steps` training steps on `images` images.

    `loader` rounds take batches from the input pipeline and train on none. `warmup_capped` says that the warm-up
    ended by its cap, while steps still got faster.
    """

    kind: Literal["pipeline", "compute", "loader"]
    steps: int
    images: int
    seconds: tuple[float, ...]
    warmup_steps: int
    warmup_capped: bool


class Phase(_Frozen):
    """Host memory of a worker in one phase, in bytes; None where the system does not tell.

    `peak` is the highest resident size within the phase (VmHWM, reset before it), `live` the resident size at its
    end, `children` what processes of an input pipeline hold beyond that (see `bench.machine.memory.children_bytes`).
    """

    name: str
    peak: int | None
    live: int | None
    children: int = 0


class Memory(_Frozen):
    """Host memory by phase; peaks of the device in bytes, None where there is no GPU.

    Phases: `interpreter` (with pytest and the harness), `import` of the framework, `data` loaded, `build` of the
    model, `first step`, `training`, `fine-tune`, `evaluation`. `resettable`: whether the peak could be set back between
    them.
    """

    host: tuple[Phase, ...]
    resettable: bool
    device_allocated: int | None
    device_reserved: int | None
    nvml_device: int | None

    def phase(self, name: str) -> Phase | None:
        """The phase called `name`, where it was measured."""
        return next((phase for phase in self.host if phase.name == name), None)


class StartUp(_Frozen):
    """Seconds from the process' start to the first trained batch, one part after the other.

    `process_s` (interpreter and harness), `import_s` of the framework, `data_s` (images and checkpoint read),
    `build_s`, `extraction_s` (cached features computed, or read), `first_step_s` (the input pipeline's start, trace,
    compilation), `closing_s` of that pipeline, and `harness_s` (reading sizes of memory). `elapsed_s` is all of them by
    a clock of its own.
    """

    process_s: float
    import_s: float
    data_s: float
    build_s: float
    extraction_s: float = 0.0
    first_step_s: float
    closing_s: float
    harness_s: float
    elapsed_s: float


class CachedFeatures(_Frozen):
    """The features that a launch trained its head on.

    Attributes:
        hit: whether they were in the cache.
        images: that they are of, training and test.
        extraction_s: seconds that computing them took, now or when the entry was made.
        problem: why an entry was not used, or could not be kept.
    """

    hit: bool
    images: int
    extraction_s: float
    problem: str | None


class FineTune(_Frozen):
    """The whole fine-tune, done for real, with the order of images and the head's start drawn from `seed`.

    `seconds` of training, `closing_s` of its input pipeline, `evaluation_s` on the whole test set, `harness_s` (reading
    sizes of memory); `elapsed_s` is all of them by a clock of its own. With random weights `correct` and `right` are
    None. `right` has a bit a test image, in order, 1 where the prediction is right: NumPy's `packbits`, compressed by
    zlib, in base64.
    """

    seed: int
    seconds: float
    closing_s: float
    evaluation_s: float
    harness_s: float
    elapsed_s: float
    train_loss: tuple[float, ...]
    train_images: int
    test_images: int
    correct: int | None
    right: str | None


class Conditions(_Frozen):
    """What else went on while the rounds of a launch ran; None where the system does not tell.

    Attributes:
        seconds: that the rounds took, hand-overs included.
        other_cpu: share of all cores' time that other processes used.
        steal: share of all cores' time that a hypervisor took.
        cgroup_throttled: periods in which the control group's CPU quota was used up.
        thermal_throttled: times that a core was slowed down because of its heat.
        swapped: bytes that the machine swapped in and out.
        frequency: mean of the cores' frequencies at the end, in MHz.
        memory_available, memory_limit: bytes that were left at the end, and all that there are.
        battery: whether the machine ran on battery.
        governor: of the first core's frequency.
        usable_cores, cores, quota: CPUs that the process may run on, that there are, and the quota in CPUs.
        limits: resource limits that are set, by name: seconds of CPU, bytes of address space.
        gpu_processes: processes with a context on the GPU, beyond one a worker.
        gpu_clock, gpu_clock_most: of its multiprocessors, in MHz.
        gpu_slowed: why the driver holds the clocks down, in NVML's words.
    """

    seconds: float
    other_cpu: float | None
    steal: float | None
    cgroup_throttled: int | None
    thermal_throttled: int | None
    swapped: int | None
    frequency: float | None
    memory_available: int
    memory_limit: int
    battery: bool
    governor: str | None
    usable_cores: int | None
    cores: int | None
    quota: float | None
    limits: dict[str, int]
    gpu_processes: int | None = None
    gpu_clock: int | None = None
    gpu_clock_most: int | None = None
    gpu_slowed: tuple[str, ...] = ()


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
    """A worker that did not finish.

    Attributes:
        phase: what it was at.
        reason: in one line.
        last_lines: that it printed.
        stacks: of all its threads, where it hung.
        peak: its highest resident size that was seen, in bytes.
    """

    phase: str
    reason: str
    last_lines: tuple[str, ...]
    stacks: tuple[str, ...] = ()
    peak: int | None = None


class Record(_Frozen):
    """One launch of one case. `failure` is set where it did not finish; what it had measured is kept.

    It is all that a table needs: `about` is the run's part of `environment.json` (its command, what was
    skipped, the machine, the packages), `position` the task's place in the run, `framework` how the framework was
    built.
    """

    schema_version: int = SCHEMA
    run: str
    suite: str
    position: int
    about: dict[str, object]
    framework: dict[str, str]
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
    features: CachedFeatures | None = None
    memory: Memory | None
    pipeline: Rounds | None
    compute: Rounds | None
    loader: Rounds | None
    fine_tunes: tuple[FineTune, ...]
    conditions: Conditions | None
    proof: Proof | None
    benchmarks: tuple[dict[str, object], ...]
    warnings: tuple[Doubt, ...]
    failure: Failure | None
