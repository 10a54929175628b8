"""Training by several processes together, with TensorFlow's `MultiWorkerMirroredStrategy`.

Source: TensorFlow's tutorials "Multi-worker training with Keras" and "Custom training loop with Keras and
MultiWorkerMirroredStrategy".
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from backends.engines.tensorflow import device as devices
from backends.engines.tensorflow.addresses import exchange_addresses
from backends.task import Variant
from backends.values import Group, Order, UnsupportedVariant

#: By the kind of device: gRPC between CPUs, NVIDIA's library between GPUs.
IMPLEMENTATIONS = {
    "cpu": tf.distribute.experimental.CommunicationImplementation.RING,
    "cuda": tf.distribute.experimental.CommunicationImplementation.NCCL,
}


class Membership:
    """What a process does as one of a group: it trains on its share of every batch. One that is alone trains on all.

    Attributes:
        strategy: None for a process that is alone: it pays for no strategy.
        exchange: the library that exchanges gradients, and its algorithm where it has several.
    """

    def __init__(
        self, group: Group | None = None, strategy: tf.distribute.Strategy | None = None, exchange: str = ""
    ) -> None:
        self.group, self.strategy, self.exchange = group or Group(), strategy, exchange

    def check(self, variant: Variant) -> None:
        """Check that the group can train as the variant says.

        Raises:
            UnsupportedVariant: it cannot.
        """
        if self.strategy and variant.execution == "xla":
            raise UnsupportedVariant(
                "execution 'xla' cannot compile the exchange of gradients between processes: "
                "use execution compiled, or --devices 1"
            )

    def describe(self) -> dict[str, str]:
        """How gradients are exchanged, for the flags of a resolved variant; empty for a process that is alone."""
        return {"exchange": self.exchange} if self.strategy else {}

    def make_variables_in(self) -> AbstractContextManager:
        """The context in which variables are made that all processes hold alike."""
        return self.strategy.scope() if self.strategy else nullcontext()

    def run_as_replica(self, function: Callable) -> Callable:
        """The function, run so that its optimiser and `sum_over_processes` exchange gradients."""
        strategy = self.strategy
        if strategy is None:
            return function
        return lambda *arguments: strategy.run(function, args=arguments)

    def take_share(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """This process' part of the images and labels of one batch, the same as `Order.share` gives it."""
        return tuple(np.split(array, self.group.size)[self.group.rank] for array in arrays)

    def share(self, order: Order) -> Order:
        """This process' part of an order."""
        return order.share(self.group) if self.strategy else order

    @property
    def gradient_scale(self) -> list[tf.Tensor] | None:
        """The factor of this process' gradients, as a tape takes it: their sum over all processes is then the mean."""
        return [tf.constant(1 / self.group.size)] if self.strategy else None

    def sum_over_processes(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The sum of gradients over all processes; called inside `run_as_replica`."""
        if self.strategy is None:
            return list(gradients)
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))


def join(group: Group, variant: Variant) -> Membership:
    """Join a group, before TensorFlow first uses a device.

    Every process listens at an address of its own, and `TF_CONFIG` of each names all of them, in the order of ranks.
    """
    devices.set_up(variant)
    config: dict[str, Any] = {
        "cluster": {"worker": exchange_addresses(group)},
        "task": {"type": "worker", "index": group.rank},
    }
    os.environ["TF_CONFIG"] = json.dumps(config)
    implementation = IMPLEMENTATIONS[variant.device.partition(":")[0]]
    options = tf.distribute.experimental.CommunicationOptions(implementation=implementation)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    return Membership(group, strategy, implementation.value.lower())
