"""The groups of a launch's workers: all are in memory together, or, where it cannot hold them, those of one engine.

The rounds of a group are interleaved; two groups are measured one after the other. So the cases of one engine, whose
differences are small, stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from backends import REGISTRY
from backends.task import Variant
from bench.machine.load import read_memory
from bench.measure.case_job import format_case_id
from bench.plan.plan import Plan
from bench.records.launch_rows import find_local_peak
from bench.records.record import Record
from bench.records.units import GIB
from bench.worker.group.process_shares import count_local_processes
from bench.worker.job import Job

#: What each process of a worker is taken to need before its case was measured. At 32 px and batch 128 the frameworks
#: need from 0.6 to 1.2 GiB.
UNKNOWN_NEED = round(1.2 * GIB)
#: The share of the available memory that the workers of a group may use.
MEMORY_SHARE = 0.8
#: So many workers are always together: what the default suite has.
ALWAYS_TOGETHER = 3

Member = TypeVar("Member")


def group_jobs(jobs: Sequence[Job], records: Sequence[Record], isolated: bool) -> list[list[Job]]:
    """Group the jobs of a launch.

    Args:
        jobs: of one task.
        records: of earlier launches of the same task, from which it is known what a case needs.
        isolated: whether each worker is to be alone.
    """
    if isolated:
        return [[job] for job in jobs]
    peaks = {record.case: find_local_peak(record) for record in records}
    return _group(
        jobs, lambda job: job.backend, lambda job: peaks.get(job.case) or estimate_need(job.variant, job.nodes)
    )


def explain_groups(plan: Plan) -> str | None:
    """Explain the groups of a plan's workers, as far as they are known before the first launch; None if all of them fit
    into memory together, or if each is to be alone.
    """
    if plan.isolated:
        return None
    peaks = {record.case: find_local_peak(record) for record in plan.done}
    for prepared in plan.tasks:
        named = [
            (backend, peaks.get(format_case_id(prepared, backend, variant)) or estimate_need(variant, plan.nodes))
            for backend, variant in plan.cases(prepared)
        ]
        groups = _group(named, lambda case: case[0], lambda case: case[1])
        if len(groups) > 1:
            names = "; ".join(", ".join(dict.fromkeys(backend for backend, _ in group)) for group in groups)
            return (
                f"Memory: {(read_memory()[0] or 0) / GIB:.1f} GiB are available, too few for {sum(map(len, groups))} "
                f"workers, so a launch has groups, one after the other: {names}. Rounds are interleaved within a group."
            )
    return None


def estimate_need(variant: Variant, nodes: int) -> int:
    """Estimate the memory that a worker needs on this machine, in bytes, before its case was measured.

    Args:
        nodes: number of machines; a variant on one device is measured on one of them.
    """
    return UNKNOWN_NEED * (count_local_processes(variant, nodes) if variant.devices else 1)


def _group(
    members: Sequence[Member], get_backend: Callable[[Member], str], get_need: Callable[[Member], int]
) -> list[list[Member]]:
    """Fill groups with engine after engine, as far as memory allows; an engine that is too large alone is divided."""
    available, _ = read_memory()
    most = MEMORY_SHARE * available if available else sum(map(get_need, members))
    if len(members) <= ALWAYS_TOGETHER or sum(map(get_need, members)) <= most:
        return [list(members)]
    engines: dict[str, list[Member]] = {}
    for member in members:
        engines.setdefault(_find_engine(get_backend(member)), []).append(member)
    groups: list[list[Member]] = [[]]
    for cases in engines.values():
        if groups[-1] and sum(map(get_need, groups[-1] + cases)) > most:
            groups.append([])
        for case in cases:
            if len(groups[-1]) >= ALWAYS_TOGETHER and sum(map(get_need, [*groups[-1], case])) > most:
                groups.append([])
            groups[-1].append(case)
    return groups


def _find_engine(backend: str) -> str:
    """The package that computes: the first one that a backend needs."""
    entry = REGISTRY.get(backend)
    return entry.packages[0] if entry and entry.packages else backend
