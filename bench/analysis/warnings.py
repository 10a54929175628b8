"""Warnings about a measurement: rules that read records and find reasons to trust a figure less.

A rule has a stable name, a limit and advice. Rules about one launch are checked when its record is made, rules about
all launches of a task at the end of the run; all warnings are kept in the records.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from statistics import median

from backends.task import Variant
from bench.analysis import statistics
from bench.analysis.knob_effects import find_ineffective_knobs
from bench.analysis.launches import find_widest_half_width, group_by_task
from bench.analysis.warning_rules import RULES, RUN_WARNINGS
from bench.machine.backend_packages import find_untried_versions
from bench.plan.variants import get_division
from bench.records.record import Conditions, MeasurementWarning, Record, Rounds
from bench.records.round_kinds import COMPARED
from bench.records.units import MB

#: The limits of the rules above, as shares.
MAX_OTHER_CPU, MAX_STEAL, MAX_CHANGE, MIN_MEMORY_LEFT, MIN_CLOCK = 0.05, 0.01, 0.05, 0.05, 0.9
#: Significance level of the trend test: fewer than one false warning in a hundred launches.
MAX_TREND_P = 0.01
#: Two clusters of rounds: the halves of a normal sample have a D of about 2.6, and above 5 in fewer than one of a
#: hundred samples of 12.
MIN_SEPARATION, MIN_CLUSTER_SHARE, MIN_ROUNDS = 5.0, 0.2, 12
#: With fewer launches, a modified z-score means nothing, and an interval is too wide to be useful.
MIN_LAUNCHES_FOR_OUTLIERS, MIN_LAUNCHES = 5, 4
#: Bytes; less swapping is ignored.
MAX_SWAPPED = 16 * MB

#: Names of warnings with their evidence.
Evidence = Iterator[tuple[str, str]]


def make_warning(name: str, evidence: str) -> MeasurementWarning:
    """Make the warning of the rule called `name`."""
    return MeasurementWarning(name=name, evidence=evidence, advice=RULES[name][1])


def find_launch_warnings(record: Record) -> tuple[MeasurementWarning, ...]:
    """Find the warnings that follow from one launch alone."""
    found = chain(
        _check_worker(record), _check_machine(record.conditions), _check_gpu(record.conditions), _check_rounds(record)
    )
    return tuple(make_warning(name, evidence) for name, evidence in found)


def find_fine_tune_warnings(
    backend: str,
    variant: Variant,
    resolved: Mapping[str, object],
    disobeyed: Mapping[str, tuple[str, str]],
    around: Conditions,
    features_problem: str | None,
) -> tuple[MeasurementWarning, ...]:
    """Find the warnings of one fine-tune of a sweep: settings, the machine's state and problems with cached features.

    Args:
        backend, variant: that fine-tuned.
        resolved, disobeyed: see `bench.records.record.Record`.
        around: the machine's state meanwhile.
        features_problem: why a cache entry was not used, or could not be written.
    """
    found = chain(
        _check_features(features_problem),
        _check_settings(backend, variant, resolved, disobeyed, around),
        _check_machine(around),
        _check_gpu(around),
    )
    return tuple(make_warning(name, evidence) for name, evidence in found)


def find_machine_warnings(around: Conditions | None) -> tuple[MeasurementWarning, ...]:
    """Find the warnings that follow from the machine's state alone."""
    return tuple(make_warning(name, evidence) for name, evidence in chain(_check_machine(around), _check_gpu(around)))


def add_run_warnings(records: Sequence[Record]) -> list[Record]:
    """Return the records, in the same order, with the warnings that need all launches of a run added to them.

    Calling it again on its result is safe: it replaces the warnings that an earlier call added.
    """
    found: dict[int, list[MeasurementWarning]] = defaultdict(list)
    tasks: dict[tuple[str, str], list[int]] = defaultdict(list)
    cases: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        tasks[record.task_hash, get_division(record.variant)].append(index)
        cases[record.case].append(index)
    groups: list[tuple[Iterable[list[int]], Callable[[list[Record]], Evidence]]] = [
        (tasks.values(), _compare_backends),
        (tasks.values(), _compare_launches),
        (tasks.values(), _check_interval),
        (cases.values(), _check_case),
    ]
    for members, rule in groups:
        for indices in members:
            for name, evidence in rule([records[index] for index in indices]):
                for index in indices:
                    found[index].append(make_warning(name, evidence))
    own = [tuple(d for d in record.warnings if d.name not in RUN_WARNINGS) for record in records]
    return [
        record.model_copy(update={"warnings": (*own[index], *found[index])}) for index, record in enumerate(records)
    ]


def _check_worker(record: Record) -> Evidence:
    """Check what the worker and the plan reported."""
    run = record.about.get("run")
    banner = run.get("banner") if isinstance(run, dict) else None
    if banner:
        yield "offline-suite", str(banner)
    packages = record.about.get("packages")
    for untried in find_untried_versions(record.backend, packages if isinstance(packages, dict) else {}):
        yield "untried-version", untried.describe()
    if record.memory:
        peaks = [phase.peak for phase in record.memory.host]
        if None in peaks:
            yield "no-host-peak", f"{peaks.count(None)} of {len(peaks)} phases, on {sys.platform}"
        elif not record.memory.resettable:
            yield "host-peak-not-by-phase", "/proc/self/clear_refs is not writable"
    for rounds in _measured_rounds(record):
        if rounds.warmup_capped and rounds.kind in COMPARED:
            yield "warm-up-cap", f"{rounds.kind} steps still got faster after {rounds.warmup_steps} of them"
    yield from _check_features(record.features.problem if record.features else None)
    chosen, resolved = record.variant.precision, record.resolved.get("precision")
    if resolved and resolved != chosen:
        yield "other-precision", f"{resolved} instead of {chosen}"
    yield from _check_settings(record.backend, record.variant, record.resolved, record.disobeyed, record.conditions)


def _check_settings(
    backend: str,
    variant: Variant,
    resolved: Mapping[str, object],
    disobeyed: Mapping[str, tuple[str, str]],
    around: Conditions | None,
) -> Evidence:
    """Check that the variant's knobs and the user's variables are in force."""
    for evidence in find_ineffective_knobs(backend, variant, resolved, around.usable_cores if around else None):
        yield "knob-without-effect", evidence
    yield from check_variables(disobeyed)
    yield from _check_cores(resolved)


def check_variables(disobeyed: Mapping[str, tuple[str, str]]) -> Evidence:
    """Check that workers have the user's variables; see `bench.records.record.Record.disobeyed`."""
    for name, (outside, own) in disobeyed.items():
        yield "variable-not-obeyed", f"{name} was {outside} and is {own} in the worker"


def _check_cores(resolved: Mapping[str, object]) -> Evidence:
    """Check that the processes of a case on several devices have cores of their own."""
    dealt = resolved.get("cores")
    if isinstance(dealt, (list, tuple)):
        cores = [core for one in dealt for core in one]
        if len(set(cores)) < len(cores):
            yield "cores-shared", f"{len(dealt)} processes on {len(set(cores))} cores"


def _check_features(problem: str | None) -> Evidence:
    """Tell the two problems with cached features apart by the words of `bench.cache.features`."""
    if problem:
        yield "features-remade" if "is damaged" in problem else "features-not-kept", problem


def _check_machine(around: Conditions | None) -> Evidence:
    """Check the state of the machine during the rounds."""
    if around is None:
        return
    if around.other_cpu is not None and around.other_cpu > MAX_OTHER_CPU:
        yield "busy-machine", f"other processes used {around.other_cpu:.0%} of the CPU for {around.seconds:.0f} s"
    if around.steal is not None and around.steal > MAX_STEAL:
        yield "steal-time", f"the hypervisor took {around.steal:.1%} of the CPU time"
    if around.cgroup_throttled:
        yield "cgroup-throttled", f"{around.cgroup_throttled} periods, quota {around.quota} CPUs"
    if around.thermal_throttled:
        yield "thermal-throttled", f"{around.thermal_throttled} times"
    if around.swapped is not None and around.swapped > MAX_SWAPPED:
        yield "swapped", f"{around.swapped / MB:,.0f} MB were swapped"
    if (
        around.memory_available is not None
        and around.memory_limit is not None
        and around.memory_available < MIN_MEMORY_LEFT * around.memory_limit
    ):
        yield (
            "memory-near-limit",
            f"{around.memory_available / MB:,.0f} of {around.memory_limit / MB:,.0f} MB were available",
        )
    if around.battery:
        yield "on-battery", "no power supply"
    if around.governor not in (None, "performance"):
        yield "governor", f"the governor is `{around.governor}`"
    usable = min((n for n in (around.quota, around.usable_cores) if n is not None), default=None)
    if usable is not None and around.cores is not None and usable < around.cores:
        yield "few-cores", f"{usable:g} of {around.cores} CPUs are usable"
    for name, limit in around.limits.items():
        yield "resource-limit", f"{name} is {limit:,}"


def _check_gpu(around: Conditions | None) -> Evidence:
    if around is None:
        return
    if around.gpu_processes:
        yield "gpu-shared", f"{around.gpu_processes} more processes than workers"
    if around.gpu_clock and around.gpu_clock_most and around.gpu_clock < MIN_CLOCK * around.gpu_clock_most:
        yield "gpu-clock", f"{around.gpu_clock} of {around.gpu_clock_most} MHz"
    elif around.gpu_slowed:
        yield "gpu-clock", f"lowered because of {', '.join(around.gpu_slowed)}"


def _check_rounds(record: Record) -> Evidence:
    for rounds in _measured_rounds(record):
        if rounds.kind in COMPARED and len(rounds.seconds) >= 3 and (drift := _describe_drift(rounds.seconds)):
            yield "drifting-rounds", f"{rounds.kind} rounds became {drift}"


def _describe_drift(seconds: Sequence[float]) -> str | None:
    """Describe how consecutive times changed; None where the change is small or not significant."""
    change = statistics.fit_trend(seconds)
    if abs(change) <= MAX_CHANGE or (p := statistics.no_trend_p(seconds)) >= MAX_TREND_P:
        return None
    return f"{abs(change):.0%} {'slower' if change > 0 else 'faster'}, p = {p:.2g}"


def check_launch_count(finished: int) -> Evidence:
    """Check that so many launches finished that an interval is useful; without any, there is no figure to doubt."""
    if 0 < finished < MIN_LAUNCHES:
        yield "few-launches", f"{finished} {'launch' if finished == 1 else 'launches'} finished"


def _check_case(records: list[Record]) -> Evidence:
    """Check all launches of one case."""
    finished = [record for record in records if record.failure is None and record.pipeline]
    yield from check_launch_count(len(finished))
    for kind in COMPARED:
        launches = {r.launch: getattr(r, kind) for r in finished if getattr(r, kind)}
        centres = {launch: median(rounds.seconds) / rounds.images for launch, rounds in launches.items()}
        if len(centres) >= MIN_LAUNCHES_FOR_OUTLIERS:
            if drift := _describe_drift(list(centres.values())):
                yield "drifting-launches", f"{kind} rounds became {drift}"
            middle = median(centres.values())
            for index in statistics.find_outliers(list(centres.values())):
                launch, centre = list(centres.items())[index]
                if abs(difference := centre / middle - 1) > MAX_CHANGE:
                    more = "more" if difference > 0 else "less"
                    times = f"{abs(difference):.0%} {more} time per {kind} step"
                    yield "outlier-launch", f"launch {launch} took {times} than the median launch"
        pooled = [s / rounds.images / centres[launch] for launch, rounds in launches.items() for s in rounds.seconds]
        if len(pooled) >= MIN_ROUNDS:
            two = statistics.split_into_clusters(pooled)
            if two.separation > MIN_SEPARATION and two.share >= MIN_CLUSTER_SHARE and two.distance > MAX_CHANGE:
                yield (
                    "bimodal-rounds",
                    f"{kind} rounds: two clusters {two.distance:.0%} apart, {two.share:.0%} in the smaller, "
                    f"D = {two.separation:.1f}",
                )


def _compare_launches(records: list[Record]) -> Evidence:
    """Compare the state of the machine between launches; all cases of a launch share it."""
    around = {record.launch: record.conditions for record in records if record.conditions}
    frequencies = [c.frequency for c in around.values() if c.frequency]
    if frequencies and max(frequencies) > (1 + MAX_CHANGE) * min(frequencies):
        yield "frequency-changed", f"{min(frequencies):,.0f} to {max(frequencies):,.0f} MHz"
    loads = [c.other_cpu for c in around.values() if c.other_cpu is not None]
    if loads and max(loads) > min(loads) + MAX_OTHER_CPU:
        yield "load-changed", f"other processes used {min(loads):.0%} to {max(loads):.0%} of the CPU"


def _check_interval(records: list[Record]) -> Evidence:
    """Check that the intervals are as narrow as `--until`."""
    run = records[0].about.get("run")
    goal = run.get("until") if isinstance(run, dict) else None
    if isinstance(run, dict) and goal:
        for task in group_by_task(records):
            half_width = find_widest_half_width(task, run["relative_to"])
            if half_width is not None and half_width > goal:
                yield "interval-too-wide", f"± {half_width:.1%} after {len({r.launch for r in records})} launches"


def _compare_backends(records: list[Record]) -> Evidence:
    """Check what should be the same in all cases of a task."""
    resolved = {f"{r.backend}/{r.variant.name}": r.resolved for r in records if r.resolved}
    alone = {case: r for case, r in resolved.items() if "devices" not in r}  # several processes share the threads
    yield from _find_disagreement("threads-differ", {case: r.get("intra_op_threads") for case, r in alone.items()})
    for name, flag, knob, value in (
        ("onednn-alone", "onednn", "kernels", "eigen"),
        ("tf32-alone", "tf32", "precision", "tf32"),
    ):
        intended = {f"{r.backend}/{r.variant.name}" for r in records if getattr(r.variant, knob) == value}
        flags = {case: r.get("flags", {}) for case, r in resolved.items() if case not in intended}
        yield from _find_disagreement(name, {case: f.get(flag) for case, f in flags.items() if isinstance(f, dict)})
    proofs = {f"{r.backend}/{r.variant.name}": r.proof for r in records if r.proof}
    for name, field in (("image-order-differs", "order_hash"), ("weights-hash-differs", "weights_hash")):
        yield from _find_disagreement(name, {case: getattr(proof, field) for case, proof in proofs.items()})


def _find_disagreement(name: str, values: dict[str, object]) -> Evidence:
    """Warn where the cases' values differ; None is no value."""
    known = {case: value for case, value in values.items() if value is not None}
    if len({str(value) for value in known.values()}) > 1:
        yield name, ", ".join(f"{case} {value}" for case, value in known.items())


def _measured_rounds(record: Record) -> Iterator[Rounds]:
    for rounds in (record.pipeline, record.compute, record.loader):
        if rounds is not None:
            yield rounds
