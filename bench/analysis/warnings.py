"""Doubts about a measurement: rules that read records and say, with figures, why a figure may mislead.

A rule has a stable name, a limit with its reason, and advice. Rules about one launch are asked when its record is
made, rules about all launches of a task when the run is over; either way the doubt lands in the record.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from statistics import median

from bench.analysis import statistics
from bench.analysis.launches import by_task, widest_reach
from bench.plan.variants import division
from bench.records import process_flags
from bench.records.record import Conditions, Doubt, Record, Rounds
from bench.records.round_kinds import COMPARED
from bench.records.units import MB

#: name: (when it is raised, what to do about it)
RULES: dict[str, tuple[str, str]] = {
    "no-host-peak": ("the system has no VmHWM", "measure host memory on Linux"),
    "host-peak-not-by-phase": (
        "VmHWM cannot be reset, so every phase shows the peak of all before it",
        "read the last phase only, or run where /proc is writable",
    ),
    "offline-suite": ("data or weights could not be had", "bring the data and weights that it names"),
    "warm-up-cap": ("steps still got faster when the warm-up hit its cap", "close other programs, or measure again"),
    "busy-machine": ("other processes used more than 5 % of the CPU during rounds", "close them, or measure again"),
    "load-changed": (
        "other processes' share of the CPU differed by more than 5 points between launches",
        "measure on a machine that nobody else uses",
    ),
    "frequency-changed": (
        "the CPU's frequency differed by more than 5 % between launches",
        "fix the frequency, or let the machine cool down and measure again",
    ),
    "steal-time": (
        "a hypervisor took more than 1 % of the CPU during rounds",
        "measure on a machine that is not shared, or with more launches",
    ),
    "cgroup-throttled": (
        "the control group's CPU quota was used up during rounds",
        "raise the quota or lower --threads",
    ),
    "thermal-throttled": ("cores were slowed down because of their heat", "cool the machine and measure again"),
    "swapped": ("memory was swapped during rounds", "free memory, or use --isolated"),
    "memory-near-limit": ("less than 5 % of the memory was left", "free memory, or use --isolated"),
    "on-battery": ("the machine ran on battery", "plug it in"),
    "governor": (
        "the CPU's frequency governor is not `performance`",
        "set it: cpupower frequency-set --governor performance",
    ),
    "few-cores": (
        "the process may use fewer CPUs than there are: by its quota or its affinity",
        "read figures as those of the smaller machine",
    ),
    "resource-limit": ("a resource limit is set that can stop or starve a worker", "lift it: ulimit -t, ulimit -v"),
    "other-precision": ("a backend computes in another precision than asked", "compare with cases of that precision"),
    "knob-without-effect": (
        "a knob that acts on the whole process does nothing here",
        "read the case as one that leaves it alone; look for what else sets LD_PRELOAD, GLIBC_TUNABLES or OMP_",
    ),
    "gpu-shared": ("other processes hold the GPU", "stop them, or choose another device"),
    "gpu-clock": ("the GPU's clock was more than 10 % below its maximum", "let it cool down, or raise its power limit"),
    "drifting-rounds": (
        "rounds became faster or slower by more than 5 % within a launch (Mann's test, p < 0.01)",
        "measure with more launches, or a longer warm-up",
    ),
    "drifting-launches": (
        "a case's launches became faster or slower by more than 5 % from the first to the last (Mann's test, p < 0.01)",
        "read ratios, which are taken within launches, rather than rates",
    ),
    "bimodal-rounds": (
        "rounds fall into two clusters more than 5 % apart (Ashman's D > 5)",
        "look at the raw rounds: two states of the machine are averaged",
    ),
    "outlier-launch": (
        "a launch lies more than 5 % from the others, by a modified z-score above 3.5",
        "measure with more launches",
    ),
    "few-launches": (
        "fewer than four launches: an interval from three reaches 1.6 times as far as one from four",
        "use --launches 4 or more, or --until 3%",
    ),
    "interval-too-wide": (
        "the interval of a ratio reaches further than --until asks for, and --max-time is over",
        "go on with a longer --max-time",
    ),
    "features-remade": ("an entry of the cache of features was damaged", "nothing: it was made again"),
    "features-not-kept": (
        "features could not be kept in the cache",
        "free space, or raise --cache-limit; this run trained on what it had computed",
    ),
    "threads-differ": ("backends resolved to different numbers of threads", "use --threads"),
    "onednn-alone": ("oneDNN is on in some backends alone", "set TF_ENABLE_ONEDNN_OPTS alike"),
    "tf32-alone": ("TF32 is on in some backends alone", "compare cases of one precision"),
    "image-order-differs": ("backends trained on different orders of images", "compare no accuracy; report this"),
    "weights-hash-differs": ("backends started from different weights", "compare nothing; report this"),
}

#: Shares, as the rules above name them.
BUSY, STEAL, CHANGE, MEMORY_LEFT, CLOCK = 0.05, 0.01, 0.05, 0.05, 0.9
#: Of the trend test: so that it cries wolf in fewer than one launch in a hundred.
TREND_P = 0.01
#: A normal sample that is cut in two has a D of about 2.6, and above 5 in fewer than one of a hundred samples of 12.
SEPARATION, LEAST_SHARE, LEAST_ROUNDS = 5.0, 0.2, 12
#: Launches below which a modified z-score means nothing, and below which an interval is too wide to be of use.
LEAST_LAUNCHES_FOR_OUTLIERS, LEAST_LAUNCHES = 5, 4
#: Bytes swapped that are an accident.
SWAPPED = 16 * MB

Evidence = Iterator[tuple[str, str]]


def doubt(name: str, evidence: str) -> Doubt:
    """A doubt by the rule called `name`."""
    return Doubt(name=name, evidence=evidence, advice=RULES[name][1])


def of_launch(record: Record) -> tuple[Doubt, ...]:
    """What one launch tells by itself."""
    found = chain(_told(record), _surroundings(record.conditions), _gpu(record.conditions), _rounds(record))
    return tuple(doubt(name, evidence) for name, evidence in found)


def of_fine_tune(around: Conditions, features_problem: str | None) -> tuple[Doubt, ...]:
    """What one fine-tune of a sweep tells by itself: of the machine meanwhile, and of its cached features."""
    found = chain(_features(features_problem), _surroundings(around), _gpu(around))
    return tuple(doubt(name, evidence) for name, evidence in found)


def of_run(records: Sequence[Record]) -> list[Record]:
    """The records with the doubts that only all launches together can raise, in their order.

    It may be asked again: what an earlier call added is replaced.
    """
    found: dict[int, list[Doubt]] = defaultdict(list)
    tasks: dict[tuple[str, str], list[int]] = defaultdict(list)
    cases: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        tasks[record.task_hash, division(record.variant)].append(index)
        cases[record.case].append(index)
    groups: list[tuple[Iterable[list[int]], Callable[[list[Record]], Evidence]]] = [
        (tasks.values(), _between_backends),
        (tasks.values(), _between_launches),
        (tasks.values(), _against_goal),
        (cases.values(), _of_case),
    ]
    for members, rule in groups:
        for indices in members:
            for name, evidence in rule([records[index] for index in indices]):
                for index in indices:
                    found[index].append(doubt(name, evidence))
    own = [tuple(d for d in record.warnings if d.name not in OF_RUN) for record in records]
    return [
        record.model_copy(update={"warnings": (*own[index], *found[index])}) for index, record in enumerate(records)
    ]


def _told(record: Record) -> Evidence:
    """What worker and plan said themselves."""
    run = record.about.get("run")
    banner = run.get("banner") if isinstance(run, dict) else None
    if banner:
        yield "offline-suite", str(banner)
    if record.memory:
        peaks = [phase.peak for phase in record.memory.host]
        if None in peaks:
            yield "no-host-peak", f"{peaks.count(None)} of {len(peaks)} phases, on {sys.platform}"
        elif not record.memory.resettable:
            yield "host-peak-not-by-phase", "/proc/self/clear_refs is not writable"
    for rounds in _measured(record):
        if rounds.warmup_capped and rounds.kind in COMPARED:
            yield "warm-up-cap", f"{rounds.kind} steps still got faster after {rounds.warmup_steps} of them"
    yield from _features(record.features.problem if record.features else None)
    asked, got = record.variant.precision, record.resolved.get("precision")
    if got and got != asked:
        yield "other-precision", f"{got}, asked for {asked}"
    yield from _without_effect(record)


def _without_effect(record: Record) -> Evidence:
    """Knobs that act through the process' environment."""
    flags, variant = record.resolved.get("flags"), record.variant
    if not isinstance(flags, dict):
        return
    loaded, huge, cpus = (flags.get(told) for told in (process_flags.ALLOCATOR, process_flags.HUGE, process_flags.CPUS))
    if loaded and variant.allocator in ("jemalloc", "tcmalloc") and loaded != variant.allocator:
        yield "knob-without-effect", f"allocator {variant.allocator}: the process uses the {loaded} one"
    if huge == "0" and variant.allocator == "hugepages":
        yield "knob-without-effect", "allocator hugepages: no memory of the process is in huge pages"
    usable = record.conditions.usable_cores if record.conditions else None
    # A core may have two CPUs.
    if cpus and usable and variant.affinity == "bound" and int(cpus) >= usable > 2:
        yield "knob-without-effect", f"affinity bound: the main thread may use {cpus} CPUs"


def _features(problem: str | None) -> Evidence:
    if problem:
        yield "features-remade" if "made again" in problem else "features-not-kept", problem


def _surroundings(around: Conditions | None) -> Evidence:
    """The machine meanwhile."""
    if around is None:
        return
    if around.other_cpu is not None and around.other_cpu > BUSY:
        yield "busy-machine", f"other processes used {around.other_cpu:.0%} of the CPU for {around.seconds:.0f} s"
    if around.steal is not None and around.steal > STEAL:
        yield "steal-time", f"{around.steal:.1%} of the CPU's time was stolen"
    if around.cgroup_throttled:
        yield "cgroup-throttled", f"{around.cgroup_throttled} periods, quota {around.quota} CPUs"
    if around.thermal_throttled:
        yield "thermal-throttled", f"{around.thermal_throttled} times"
    if around.swapped is not None and around.swapped > SWAPPED:
        yield "swapped", f"{around.swapped / MB:,.0f} MB were swapped"
    if around.memory_available < MEMORY_LEFT * around.memory_limit:
        yield (
            "memory-near-limit",
            f"{around.memory_available / MB:,.0f} of {around.memory_limit / MB:,.0f} MB were left",
        )
    if around.battery:
        yield "on-battery", "no power supply"
    if around.governor not in (None, "performance"):
        yield "governor", f"it is `{around.governor}`"
    usable = min((n for n in (around.quota, around.usable_cores) if n is not None), default=None)
    if usable is not None and around.cores is not None and usable < around.cores:
        yield "few-cores", f"{usable:g} of {around.cores} CPUs"
    for name, limit in around.limits.items():
        yield "resource-limit", f"{name} is {limit:,}"


def _gpu(around: Conditions | None) -> Evidence:
    if around is None:
        return
    if around.gpu_processes:
        yield "gpu-shared", f"{around.gpu_processes} more processes than workers"
    if around.gpu_clock and around.gpu_clock_most and around.gpu_clock < CLOCK * around.gpu_clock_most:
        yield "gpu-clock", f"{around.gpu_clock} of {around.gpu_clock_most} MHz"
    elif around.gpu_slowed:
        yield "gpu-clock", f"held down by: {', '.join(around.gpu_slowed)}"


def _rounds(record: Record) -> Evidence:
    for rounds in _measured(record):
        if rounds.kind in COMPARED and len(rounds.seconds) >= 3 and (told := _drift(rounds.seconds)):
            yield "drifting-rounds", f"{rounds.kind} rounds became {told}"


def _drift(seconds: Sequence[float]) -> str | None:
    """How far figures that came one after the other moved, where they did."""
    drift = statistics.trend(seconds)
    if drift.p >= TREND_P or abs(drift.change) <= CHANGE:
        return None
    return f"{abs(drift.change):.0%} {'slower' if drift.change > 0 else 'faster'}, p = {drift.p:.2g}"


def _of_case(records: list[Record]) -> Evidence:
    """All launches of one case."""
    finished = [record for record in records if record.failure is None and record.pipeline]
    if finished and len(finished) < LEAST_LAUNCHES:
        yield "few-launches", f"{len(finished)} finished"
    for kind in COMPARED:
        launches = {r.launch: getattr(r, kind) for r in finished if getattr(r, kind)}
        centres = {launch: median(rounds.seconds) / rounds.images for launch, rounds in launches.items()}
        if len(centres) >= LEAST_LAUNCHES_FOR_OUTLIERS:
            if told := _drift(list(centres.values())):
                yield "drifting-launches", f"{kind} rounds became {told}"
            middle = median(centres.values())
            for index in statistics.outliers(list(centres.values())):
                launch, centre = list(centres.items())[index]
                if abs(away := centre / middle - 1) > CHANGE:
                    yield "outlier-launch", f"launch {launch} took {away:+.0%} a {kind} step against the others' median"
        pooled = [s / rounds.images / centres[launch] for launch, rounds in launches.items() for s in rounds.seconds]
        if len(pooled) >= LEAST_ROUNDS:
            two = statistics.modes(pooled)
            if two.separation > SEPARATION and two.share >= LEAST_SHARE and two.distance > CHANGE:
                yield (
                    "bimodal-rounds",
                    f"{kind} rounds: two clusters {two.distance:.0%} apart, {two.share:.0%} in the smaller, "
                    f"D = {two.separation:.1f}",
                )


def _between_launches(records: list[Record]) -> Evidence:
    """The machine, launch by launch; all cases of a launch share it."""
    around = {record.launch: record.conditions for record in records if record.conditions}
    frequencies = [c.frequency for c in around.values() if c.frequency]
    if frequencies and max(frequencies) > (1 + CHANGE) * min(frequencies):
        yield "frequency-changed", f"{min(frequencies):,.0f} to {max(frequencies):,.0f} MHz"
    loads = [c.other_cpu for c in around.values() if c.other_cpu is not None]
    if loads and max(loads) > min(loads) + BUSY:
        yield "load-changed", f"other processes used {min(loads):.0%} to {max(loads):.0%} of the CPU"


def _against_goal(records: list[Record]) -> Evidence:
    """What the run was to reach."""
    run = records[0].about.get("run")
    goal = run.get("until") if isinstance(run, dict) else None
    if isinstance(run, dict) and goal:
        reaches = (widest_reach(task, run["relative_to"]) for task in by_task(records))
        for reach in reaches:
            if reach is not None and reach > goal:
                yield "interval-too-wide", f"± {reach:.1%} after {len({r.launch for r in records})} launches"


def _between_backends(records: list[Record]) -> Evidence:
    """What should be the same in all cases of a task."""
    resolved = {f"{r.backend}/{r.variant.name}": r.resolved for r in records if r.resolved}
    yield from _differing("threads-differ", {case: told.get("intra_op_threads") for case, told in resolved.items()})
    for name, flag, knob, value in (
        ("onednn-alone", "onednn", "kernels", "eigen"),
        ("tf32-alone", "tf32", "precision", "tf32"),
    ):
        asked = {f"{r.backend}/{r.variant.name}" for r in records if getattr(r.variant, knob) == value}
        flags = {case: told.get("flags", {}) for case, told in resolved.items() if case not in asked}
        yield from _differing(name, {case: f.get(flag) for case, f in flags.items() if isinstance(f, dict)})
    proofs = {f"{r.backend}/{r.variant.name}": r.proof for r in records if r.proof}
    for name, field in (("image-order-differs", "order_hash"), ("weights-hash-differs", "weights_hash")):
        yield from _differing(name, {case: getattr(proof, field) for case, proof in proofs.items()})


def _differing(name: str, values: dict[str, object]) -> Evidence:
    """A doubt where cases that tell do not agree."""
    told = {case: value for case, value in values.items() if value is not None}
    if len({str(value) for value in told.values()}) > 1:
        yield name, ", ".join(f"{case} {value}" for case, value in told.items())


def _measured(record: Record) -> Iterator[Rounds]:
    for rounds in (record.pipeline, record.compute, record.loader):
        if rounds is not None:
            yield rounds


#: Names that `of_run` raises.
OF_RUN = frozenset(
    {
        "few-launches",
        "interval-too-wide",
        "outlier-launch",
        "drifting-launches",
        "bimodal-rounds",
        "frequency-changed",
        "load-changed",
        "threads-differ",
        "onednn-alone",
        "tf32-alone",
        "image-order-differs",
        "weights-hash-differs",
    }
)
