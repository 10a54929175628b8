"""The record: what one launch of one case measured. Tables are made from records alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from backends.task import Task, Variant

SCHEMA = 3
#: The time of a round: no rate can be computed from another.
RoundSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]
#: What `about["run"]` says, where it is read again, and the type of it.
RUN_FACTS: Mapping[str, tuple[type, ...]] = {
    "command": (str,),
    "suite": (dict,),
    "skipped": (dict,),
    "banner": (str, type(None)),
    "relative_to": (str,),
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MeasurementWarning(_Frozen):
    """A reason to trust a figure less: a stable name, the evidence in figures, and what to do about it."""

    name: str
    evidence: str
    advice: str


class Rounds(_Frozen):
    """The timed rounds of one kind: `seconds[i]` is the wall time of `steps` training steps on `images` images.

    `loader` rounds take batches from the input pipeline and train on none of them. `warmup_capped` is True if the
    warm-up reached its cap while steps still got faster.
    """

    kind: Literal["pipeline", "compute", "loader"]
    steps: Annotated[int, Field(ge=1)]
    images: Annotated[int, Field(ge=1)]
    seconds: Annotated[tuple[RoundSeconds, ...], Field(min_length=1)]
    warmup_steps: int
    warmup_capped: bool


class Phase(_Frozen):
    """Host memory of a worker in one phase, in bytes; None where the system does not report it.

    `peak` is the highest resident size within the phase (VmHWM, reset before it), `live` the resident size at its
    end, `children` the memory that processes of the input pipeline use in addition (see
    `bench.machine.memory.compute_children_bytes`). On several devices all three are the sum over the processes, and
    `processes` has the peak of each.
    """

    name: str
    peak: int | None
    live: int | None
    children: int = 0
    #: One process needs no list: a reader older than the field would refuse it.
    processes: Annotated[tuple[int | None, ...], Field(exclude_if=().__eq__)] = ()


class Memory(_Frozen):
    """Host memory by phase, and peaks of the device's memory in bytes, None where there is no GPU.

    Phases: `interpreter` (with pytest and the harness), `import` of the framework, `data` loaded, `build` of the
    model, `first step`, `training`, `fine-tune`, `evaluation`. `resettable`: whether the system could reset the peak
    between phases.
    """

    host: tuple[Phase, ...]
    resettable: bool
    device_allocated: int | None
    device_reserved: int | None
    nvml_device: int | None

    def phase(self, name: str) -> Phase | None:
        """The phase called `name`; None where it was not measured."""
        return next((phase for phase in self.host if phase.name == name), None)


class StartUp(_Frozen):
    """Seconds from the start of the process to the first trained batch, by part.

    `process_s` (interpreter and harness), `import_s` of the framework, `data_s` (reading images and checkpoint),
    `build_s`, `extraction_s` (computing or reading cached features), `first_step_s` (start of the input pipeline,
    trace, compilation), `closing_s` of that pipeline, and `harness_s` (reading memory sizes). `elapsed_s` is all of
    them, measured by a separate clock.
    """

    process_s: Seconds
    import_s: Seconds
    data_s: Seconds
    build_s: Seconds
    extraction_s: Seconds = 0.0
    first_step_s: Seconds
    closing_s: Seconds
    harness_s: Seconds
    elapsed_s: Seconds


class CachedFeatures(_Frozen):
    """The cached features that a launch trained its head on.

    Attributes:
        hit: whether the cache had them.
        images: their number, training and test images together.
        extraction_s: seconds that computing them took, in this launch or when the cache entry was written.
        problem: why a cache entry was not used, or could not be written; None without a problem.
        form: the form in which they were extracted, see `backends.extraction`; None where that was not noted.
    """

    hit: bool
    images: int
    extraction_s: float
    problem: str | None
    form: str | None = None


class FineTune(_Frozen):
    """One whole fine-tune, with the order of images and the head's initial values drawn from `seed`.

    `seconds` of training, `closing_s` of its input pipeline, `evaluation_s` on the whole test set, `harness_s` (reading
    memory sizes, copying the head); `elapsed_s` is all of them, measured by a separate clock. `correct` counts the test
    images that are classified correctly, and `right` says which (see `bench.records.correct_images`); with random
    weights both are None.

    `epoch_seconds` are the seconds of training until the end of each epoch; the last is `seconds`. `epoch_correct`
    counts the first `epoch_test_images` test images that are classified correctly after each epoch. It is empty with a
    single epoch, with random weights, and where the epochs are not evaluated (see `bench.worker.epoch_accuracy`). Older
    records have none of the three.
    """

    seed: int
    seconds: Seconds
    closing_s: Seconds
    evaluation_s: Seconds
    harness_s: Seconds
    elapsed_s: Seconds
    train_loss: Annotated[tuple[float, ...], Field(min_length=1)]
    train_images: int
    test_images: int
    correct: int | None
    right: str | None
    epoch_seconds: tuple[float, ...] = ()
    epoch_correct: tuple[int, ...] = ()
    epoch_test_images: int = 0


class Conditions(_Frozen):
    """The state of the machine while the rounds of a launch ran; None where the system does not report it.

    Attributes:
        seconds: duration of the rounds, including the hand-overs between workers.
        other_cpu: share of all cores' time that other processes used.
        steal: share of all cores' time that a hypervisor took.
        cgroup_throttled: periods in which the control group used up its CPU quota.
        thermal_throttled: how often a core was slowed down because it was too hot.
        swapped: bytes that the machine swapped in and out.
        frequency: mean frequency of the cores at the end, in MHz.
        memory_available, memory_limit: bytes available at the end, and in total.
        battery: whether the machine ran on battery.
        governor: frequency governor of the first core.
        usable_cores, cores, quota: CPUs that the process may use, CPUs of the machine, and the CPU quota.
        limits: resource limits that are set, by name: seconds of CPU, bytes of address space.
        gpu_processes: processes with a context on the GPU, beyond one per worker.
        gpu_clock, gpu_clock_most: clock of the multiprocessors and its maximum, in MHz.
        gpu_slowed: NVML's names of the reasons why the driver lowers the clocks.
    """

    seconds: float
    other_cpu: float | None
    steal: float | None
    cgroup_throttled: int | None
    thermal_throttled: int | None
    swapped: int | None
    frequency: float | None
    memory_available: int | None
    memory_limit: int | None
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
    """One check of the proof of sameness: the largest difference, its tolerance, and what it compares."""

    name: str
    difference: float
    tolerance: float
    passed: bool
    detail: str


class Proof(_Frozen):
    """The outcome of the proof of sameness against PyTorch fp32 eager.

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
        """Whether ratios to other cases may be shown."""
        return self.status in ("proven", "reference")


class Failure(_Frozen):
    """Why a worker did not finish.

    Attributes:
        phase: the phase in which it stopped.
        reason: one line.
        last_lines: the last lines that it printed.
        stacks: stack traces of all its threads, if it hung.
        peak: the highest resident size that was observed, in bytes.
    """

    phase: str
    reason: str
    last_lines: tuple[str, ...]
    stacks: tuple[str, ...] = ()
    peak: int | None = None


class Record(_Frozen):
    """One launch of one case, with all that a table needs.

    `failure` is set if the launch did not finish; what it had measured until then is kept. `about` is the run's part
    of `environment.json` (command, skipped backends, machine, packages), `position` the task's place in the run,
    `framework` how the framework was built, `resolved` the settings that the worker really used, `variables` its
    environment variables that figures depend on, and `disobeyed` the user's variables that it did not have as they are:
    the value outside, and its own (see `bench.machine.variable_table`). `started_alone` is False if other workers were
    built at the same time: then there is no `start_up`, because its seconds would be those of all of them.
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
    variables: dict[str, str] = {}
    disobeyed: dict[str, tuple[str, str]] = {}
    started_alone: bool = True
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
    warnings: tuple[MeasurementWarning, ...]
    failure: Failure | None

    @field_validator("about")
    @classmethod
    def _drop_foreign_facts(cls, about: dict[str, object]) -> dict[str, object]:
        """A description of another shape is one that is not known."""
        run = about.get("run", {})
        if not isinstance(run, dict):
            return {key: value for key, value in about.items() if key != "run"}
        known = {name: one for name, one in run.items() if isinstance(one, RUN_FACTS.get(name, (object,)))}
        return {**about, "run": known} if len(known) < len(run) else about
