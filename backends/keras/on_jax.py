"""Keras on JAX: the backend `keras-jax`.

JAX's compiled functions take all state as arguments and return it (keras.io/guides/custom_train_step_in_jax): here a
`StatelessScope` gives variables their values inside of such a function.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

os.environ["KERAS_BACKEND"] = "jax"  # overrides the user's Keras settings

import jax
import jax.numpy as jnp
import keras
import keras_hub
import numpy as np

from backends import folding
from backends.base import Training
from backends.engines.jax import device, head, kernels, profiler
from backends.engines.jax import group as groups
from backends.engines.jax.group import Membership
from backends.extraction import ExtractionForm, Extractor, choose_batch_size
from backends.keras.engine import Engine, HeadStep
from backends.keras.trainer import Keras
from backends.kernels import Kernel
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Group, Order, Resolved

VERSIONS = {"keras": keras.__version__, "keras-hub": keras_hub.__version__}


class JAXEngine(Engine):
    """JAX below Keras. In a group, `fit` and `train_on_batch` report the loss of whole batches, as their logs do."""

    backend = "keras-jax"
    #: "auto" is XLA (keras/src/trainers/trainer.py).
    executions: ClassVar = {None: {}, "xla": {"jit_compile": True}, "eager": {"run_eagerly": True}}
    membership = Membership()
    distribution: keras.distribution.DataParallel | None = None

    def join(self, group: Group, variant: Variant) -> None:
        """See `Engine.join`. `keras.distribution.initialize` makes the same call of JAX, and then draws a seed."""
        self.membership = groups.join(group, variant)
        # Keras compares what processes hold alike: values drawn before the checkpoint is loaded have to be equal.
        keras.utils.set_random_seed(0)
        # The harness deals out the images, so Keras does not divide the data set.
        self.distribution = keras.distribution.DataParallel(devices=groups.list_devices(), auto_shard_dataset=False)

    def leave(self) -> None:
        """See `Engine.leave`."""
        groups.leave()

    def distribute(self) -> AbstractContextManager:
        """See `Engine.distribute`. What is made outside is this process' own."""
        return self.distribution.scope() if self.distribution else nullcontext()

    def share(self, order: Order) -> Order:
        """See `Engine.share`."""
        return self.membership.share(order)

    def take_share(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `Engine.take_share`."""
        return self.membership.take_share(*arrays)

    def join_shares(self, *arrays: jax.Array) -> tuple[jax.Array, ...]:
        """See `Engine.join_shares`."""
        return self.membership.join_shares(arrays)

    def read_loss(self, loss: jax.Array) -> float:
        """See `Engine.read_loss`."""
        return float(self.membership.read_losses(loss))

    def set_up(self, variant: Variant) -> None:
        """See `Engine.set_up`."""
        self.device = device.set_up(variant)

    def find_execution(self, model: keras.Model, variant: Variant) -> str:
        """See `Engine.find_execution`."""
        return "xla" if model.jit_compile and not model.run_eagerly else "eager"

    def resolve(self, variant: Variant, model: keras.Model, input_pipeline: str, in_force: dict[str, str]) -> Resolved:
        """See `Engine.resolve`."""
        in_force = {**in_force, **self.membership.describe()}
        engine = device.resolve(variant, self.device, input_pipeline, self.backend, in_force)
        return dataclasses.replace(
            engine,
            framework=f"keras on {keras.backend.backend()}",
            versions={**engine.versions, **VERSIONS},
            jit="none" if engine.execution == "eager" else engine.jit,
        )

    def describe_build(self) -> dict[str, str]:
        """See `Engine.describe_build`."""
        return device.describe_build()

    def reset_memory(self) -> None:
        """See `Engine.reset_memory`."""
        device.reset_memory(self.device)

    def read_memory(self) -> DeviceMemory | None:
        """See `Engine.read_memory`."""
        return device.read_memory(self.device)

    def build_kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """See `Engine.build_kernel`."""
        return kernels.build(kernel, variant)

    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """See `Engine.profile`."""
        return profiler.profile(run, folder)

    def to_device(self, array: np.ndarray) -> jax.Array:
        """See `Engine.to_device`. JAX has no 64-bit integers by default."""
        return jnp.asarray(array.astype(np.int32) if array.dtype == np.int64 else array)

    def compile_transform(self, transform: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        """See `Engine.compile_transform`."""
        return jax.jit(transform)

    def compile_function(
        self, variant: Variant, function: Callable[..., Any], variables: Sequence[keras.Variable]
    ) -> Callable[..., Any]:
        """See `Engine.compile_function`. In a group each process calls it with its own values, and it changes none."""
        compiled = jax.jit(lambda values, *arrays: _run_stateless(function, variables, values, *arrays))

        def run(*arrays: jax.Array) -> Any:
            before = self.membership.take_own([variable.value for variable in variables])
            result, values = compiled(before, *arrays)
            if self.membership.mesh is None:
                for variable, value in zip(variables, values, strict=True):
                    variable.assign(value)
            return result

        return run

    def compute_gradients(
        self,
        loss: Callable[..., jax.Array],
        arrays: Sequence[jax.Array],
        variables: Sequence[keras.Variable],
        others: Sequence[keras.Variable] = (),
    ) -> tuple[jax.Array, Sequence[jax.Array]]:
        """See `Engine.compute_gradients`. In a group the loss is that of each process' part."""

        def compute(values: list[jax.Array], other_values: list[jax.Array], *arrays: jax.Array) -> tuple:
            def compute_part(*arrays: jax.Array) -> jax.Array:
                return _run_stateless(loss, [*variables, *others], [*values, *other_values], *arrays)[0]

            losses = self.membership.map_shares(compute_part, *arrays)
            return jnp.mean(losses), losses

        (_, losses), gradients = jax.jit(jax.value_and_grad(compute, has_aux=True))(
            [variable.value for variable in variables], [variable.value for variable in others], *arrays
        )
        return losses, gradients

    def start_on_features(
        self,
        step: HeadStep,
        variant: Variant,
        variables: Sequence[keras.Variable],
        data: tuple[np.ndarray, np.ndarray],
        order: Order,
    ) -> Training:
        """See `Engine.start_on_features`."""
        return HeadTraining(step, variables, *data, order, self.membership)

    def list_extraction_forms(self, task: Task, variant: Variant) -> tuple[ExtractionForm, ...]:
        """See `Engine.list_extraction_forms`."""
        folded = folding.make_extraction_variant(variant)
        return (ExtractionForm("xla", folded, choose_batch_size(task, variant), 3.0),)

    def make_extractor(self, model: keras.Model, transform: Callable, task: Task, form: ExtractionForm) -> Extractor:
        """See `Engine.make_extractor`."""
        forward = self.compile_function(form.variant, model, model.weights)
        return lambda images: np.asarray(forward(transform(self.to_device(images))))

    def update_variables(self, model: keras.Model) -> None:
        """See `Engine.update_variables`: `fit` keeps all state outside of the model until an epoch ends."""
        model.jax_state_sync()
        jax.block_until_ready([variable.value for variable in model.trainable_variables])


class HeadTraining(head.HeadTraining):
    """The values are those of Keras' variables. The loss is of whole batches, as that of `fit` is."""

    def __init__(
        self,
        step: HeadStep,
        variables: Sequence[keras.Variable],
        features: np.ndarray,
        labels: np.ndarray,
        order: Order,
        membership: Membership,
    ) -> None:
        self.variables = variables
        super().__init__(
            lambda values, *batch: _run_stateless(step, variables, values, *batch), features, labels, order, membership
        )

    def get_values(self) -> list[jax.Array]:
        """See `head.HeadTraining.get_values`."""
        return [variable.value for variable in self.variables]

    def set_values(self, values: list[jax.Array]) -> None:
        """See `head.HeadTraining.set_values`."""
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    def read_loss(self, loss: jax.Array) -> float:
        """See `head.HeadTraining.read_loss`."""
        return float(jnp.mean(loss))


def _run_stateless(
    function: Callable[..., Any], variables: Sequence[keras.Variable], values: Sequence[jax.Array], *arrays: jax.Array
) -> tuple[Any, list[jax.Array]]:
    """Run a function in which variables have these values; returns its result, and the values after it."""
    with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))) as scope:
        result = function(*arrays)
    after = [scope.get_current_value(variable) for variable in variables]
    return result, after


BACKEND = Keras(JAXEngine())
