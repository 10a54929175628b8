"""What each process of a case gets: its number, its device, its cores and its threads."""

from __future__ import annotations

from dataclasses import dataclass

from backends.task import Task, Variant
from backends.values import Group, Order
from bench.machine.core_shares import Cores, deal_cores, list_usable_cores


@dataclass(frozen=True)
class ProcessShare:
    """One process of a case.

    Attributes:
        rank: its number among all processes of the case; process 0 is measured.
        local_rank: its number among those of its machine.
        variant: how it executes the task: on its own device, with its own threads.
        cores: that it may run on.
        apart: the group whose shares the process takes without being in it, because the processes exchange nothing;
            None where the backend joins the group.
    """

    rank: int
    local_rank: int
    variant: Variant
    cores: Cores
    apart: Group | None = None

    def take_task(self, task: Task) -> Task:
        """The task that the backend builds: that of all processes, or the process' own."""
        return task.model_copy(update={"batch_size": task.batch_size // self.apart.size}) if self.apart else task

    def take_order(self, order: Order) -> Order:
        """The order that the backend is given: that of all processes, or the process' share of it."""
        return order.share(self.apart) if self.apart else order


def count_local_processes(variant: Variant, nodes: int = 1) -> int:
    """Count the processes of a case on each machine."""
    return (variant.devices or 1) // nodes


def count_own_threads(variant: Variant, nodes: int = 1) -> int:
    """Count the threads of each process: the case's threads on a machine, divided."""
    return max(1, (variant.threads or 1) // count_local_processes(variant, nodes))


def make_shares(variant: Variant, nodes: int = 1, node: int = 0) -> tuple[ProcessShare, ...]:
    """Make the shares of a case's processes on one machine.

    Args:
        nodes: number of machines.
        node: the number of this one.
    """
    local = count_local_processes(variant, nodes)
    if not variant.devices:
        return (ProcessShare(0, 0, variant, tuple(list_usable_cores())),)
    threads = count_own_threads(variant, nodes)
    shares = []
    for number, cores in enumerate(deal_cores(list_usable_cores(), local)):
        device = variant.device if variant.device == "cpu" else f"cuda:{number}"
        own = variant.model_copy(update={"threads": threads, "device": device})
        rank, apart = node * local + number, None
        if variant.exchange == "none":
            own, apart = own.model_copy(update={"devices": None, "exchange": None}), Group(rank, variant.devices)
        shares.append(ProcessShare(rank, number, own, cores, apart))
    return tuple(shares)
