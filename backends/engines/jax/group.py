"""Training by several processes together: JAX's distributed arrays, one device for each process.

Source: JAX's guides "Introduction to multi-controller JAX" and "Distributed data loading in a multi-host/multi-process
environment". Every process calls the same compiled functions. Parameters are replicated, and each process has its rows
of a batch; computation follows data, so XLA itself puts the exchange of gradients into the compiled step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from backends.engines.jax import device as devices
from backends.task import Variant
from backends.values import Group, Order

Tree = TypeVar("Tree")

#: The libraries between processes, by the kind of device: on GPUs XLA has no other than NVIDIA's.
EXCHANGES = {"cpu": "gloo", "cuda": "nccl"}
#: The name of the mesh's only axis, along which batches are divided.
AXIS = "batch"


class Membership:
    """What a process does as one of a group: it trains on its share of every batch. One that is alone trains on all.

    Attributes:
        mesh: the devices of all processes, in the order of the processes; None for a process that is alone.
        exchange: the library that exchanges gradients.
    """

    def __init__(self, group: Group | None = None, mesh: Mesh | None = None, exchange: str = "") -> None:
        self.group, self.mesh, self.exchange = group or Group(), mesh, exchange

    @property
    def loss_shape(self) -> tuple[int, ...]:
        """The shape of a loss in a compiled function: one for each process, or a number for one that is alone."""
        return (self.group.size,) if self.mesh else ()

    def describe(self) -> dict[str, str]:
        """How gradients are exchanged, for the flags of a resolved variant; empty for a process that is alone."""
        return {"exchange": self.exchange} if self.mesh else {}

    def take_share(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """This process' part of the images and labels of one batch, the same as `Order.share` gives it."""
        return tuple(map(self.group.take, arrays))

    def share(self, order: Order) -> Order:
        """This process' part of an order."""
        return order.share(self.group)

    def join_shares(self, shares: Tree, axis: int = 0) -> Tree:
        """Arrays of all processes, which are divided along an axis, from this process' shares of them."""
        return self._make_arrays(shares, *[None] * axis, AXIS)

    def replicate(self, values: Tree) -> Tree:
        """Arrays that all processes hold alike, from this process' own."""
        return self._make_arrays(values)

    def _make_arrays(self, values: Tree, *axes: str | None) -> Tree:
        if self.mesh is None:
            return values
        sharding = NamedSharding(self.mesh, PartitionSpec(*axes))
        return jax.tree.map(lambda value: jax.make_array_from_process_local_data(sharding, value), values)

    def take_own(self, values: Tree) -> Tree:
        """This process' arrays of those that all processes hold alike; nothing is copied."""
        return values if self.mesh is None else jax.tree.map(lambda value: value.addressable_data(0), values)

    def map_shares(self, function: Callable[..., jax.Array], *arrays: jax.Array) -> jax.Array:
        """Inside a compiled function: a number of each process' share of a batch's arrays (b, ...), computed in this
        process; in a process that is alone, that of all. The result has the shape `loss_shape`.
        """
        if self.mesh is None:
            return function(*arrays)
        shares = [array.reshape(self.group.size, -1, *array.shape[1:]) for array in arrays]
        sharding = NamedSharding(self.mesh, PartitionSpec(AXIS))
        return jax.lax.with_sharding_constraint(jax.vmap(function)(*shares), sharding)

    def read_losses(self, losses: jax.Array) -> np.ndarray:
        """This process' losses (...), of an array (..., processes) that `map_shares` has made; waits for them."""
        if self.mesh is None:
            return np.asarray(losses)
        own = np.asarray(losses.addressable_data(0))
        return own[..., self.group.rank if own.shape[-1] == self.group.size else 0]


def join(group: Group, variant: Variant) -> Membership:
    """Join a group, before JAX makes its devices. Process 0 listens at the group's address.

    Nothing is taken from a cluster's variables: in a job of Slurm JAX would choose the devices by them.
    """
    devices.configure(variant)
    kind = variant.device.partition(":")[0]
    if kind == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", EXCHANGES[kind])
    jax.config.update("jax_enable_preemption_service", False)  # it would keep SIGTERM from ending the process
    jax.distributed.initialize(
        group.address,
        group.size,
        group.rank,
        coordinator_bind_address=group.address,
        cluster_detection_method="deactivate",
    )
    return Membership(group, Mesh(np.array(list_devices()), (AXIS,)), EXCHANGES[kind])


def list_devices() -> list[jax.Device]:
    """The devices of all processes, in the order of the processes."""
    return sorted(jax.devices(), key=lambda device: device.process_index)


def leave() -> None:
    """Leave the group, together with all of its processes."""
    jax.distributed.shutdown()
