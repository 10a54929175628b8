"""Knobs without effect: where what is in force in a worker is not what its variant asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backends.knobs import KNOBS, get_value
from backends.task import Variant
from bench.records import process_flags

#: It has a warning of its own, because it changes results too.
PRECISION = "precision"


def find_ineffective_knobs(
    backend: str, variant: Variant, resolved: Mapping[str, object], usable_cores: int | None
) -> Iterator[str]:
    """Describe each knob of a variant without effect, with the value that it asks for and the one in force.

    Args:
        backend: that ran the variant.
        variant: with its knobs.
        resolved: the settings that the worker really used, as in a record.
        usable_cores: CPUs that the process may use; None where the system does not report it.
    """
    flags = resolved.get("flags")
    in_force = {**resolved, **(flags if isinstance(flags, dict) else {})}
    for knob, described in KNOBS.items():
        # A backend that is not in the table sets no knob.
        if knob != PRECISION and backend in described.values and knob in in_force:
            asked = get_value(backend, variant, knob)
            if in_force[knob] != asked and not _is_only_graph(knob, variant, in_force[knob]):
                yield f"{knob} {asked}: {in_force[knob]} is in force"
    threads = _count_own_threads(variant, int(in_force.get("nodes", 1)))
    if threads is not None and in_force.get("intra_op_threads") not in (None, threads):
        yield f"threads {threads}: {in_force['intra_op_threads']} in force"
    yield from _find_ineffective_process_knobs(variant, in_force, usable_cores)


def _is_only_graph(knob: str, variant: Variant, in_force: object) -> bool:
    """Whether the backbone is an exported network, which has no other graph than its own."""
    return knob == "graph" and variant.graph is None and in_force == "exported"


def _count_own_threads(variant: Variant, nodes: int) -> int | None:
    """Count the threads that a process of the case is to have: the processes on a machine share those of the case."""
    if variant.threads is None or not variant.devices:
        return variant.threads
    return max(1, variant.threads // (variant.devices // nodes))


def _find_ineffective_process_knobs(
    variant: Variant, flags: Mapping[str, object], usable_cores: int | None
) -> Iterator[str]:
    """Describe the knobs that act through the process' environment; the system shows their effect."""
    loaded = flags.get(process_flags.ALLOCATOR)
    asked = variant.allocator if variant.allocator in ("jemalloc", "tcmalloc") else "system"
    if loaded and loaded != asked:
        yield f"allocator {asked}: the process uses the {loaded} one"
    if flags.get(process_flags.HUGE) == "0" and variant.allocator == "hugepages":
        yield "allocator hugepages: no memory of the process is in huge pages"
    cpus = int(str(flags.get(process_flags.CPUS, 0)))
    if not cpus or not usable_cores or variant.devices:  # the harness deals the cores out to several processes
        return
    # A core may have two CPUs.
    if variant.affinity == "bound" and cpus >= usable_cores > 2:
        yield f"affinity bound: the main thread may use {cpus} CPUs"
    if variant.affinity != "bound" and cpus < usable_cores:
        yield f"affinity free: the main thread may use {cpus} of {usable_cores} CPUs"
