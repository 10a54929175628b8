"""Keras on PyTorch: the backend `keras-torch`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import ClassVar

os.environ["KERAS_BACKEND"] = "torch"  # overrides the user's Keras settings

import keras
import keras_hub
import numpy as np
import torch
from keras.src.backend.torch import core

from backends import folding
from backends.base import Training
from backends.engines.torch import device, kernels, profiler
from backends.extraction import ExtractionForm, Extractor, choose_batch_size
from backends.keras.engine import Engine, HeadStep
from backends.keras.trainer import Keras
from backends.kernels import Kernel
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Order, Resolved

VERSIONS = {"keras": keras.__version__, "keras-hub": keras_hub.__version__}


class TorchEngine(Engine):
    """PyTorch below Keras."""

    backend = "keras-torch"
    #: "auto" is eager (keras/src/trainers/trainer.py); `jit_compile` has TorchInductor compile the step.
    executions: ClassVar = {None: {}, "eager": {"jit_compile": False}, "compiled": {"jit_compile": True}}

    def __init__(self) -> None:
        self.device = torch.device("cpu")

    def set_up(self, variant: Variant) -> None:
        """See `Engine.set_up`. Keras reads its device once, when it is imported, from `KERAS_TORCH_DEVICE`; its device
        scope is a thread's own, and `fit` has a thread of its own.
        """
        self.device = device.set_up(variant, self.backend)
        core.DEFAULT_DEVICE = str(self.device)

    def find_execution(self, model: keras.Model, variant: Variant) -> str:
        """See `Engine.find_execution`."""
        compiles = model.jit_compile and not model.run_eagerly and not torch._dynamo.config.disable
        return "compiled" if compiles else "eager"

    def resolve(self, variant: Variant, model: keras.Model, input_pipeline: str, in_force: dict[str, str]) -> Resolved:
        """See `Engine.resolve`."""
        engine = device.resolve(variant, self.device, input_pipeline, self.backend, in_force)
        versions = {**engine.versions, **VERSIONS}
        return dataclasses.replace(engine, framework=f"keras on {keras.backend.backend()}", versions=versions)

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
        return kernels.build(kernel, variant, self.backend)

    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """See `Engine.profile`."""
        return profiler.profile(run, folder)

    def to_device(self, array: np.ndarray) -> torch.Tensor:
        """See `Engine.to_device`."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def keep_resident(self, array: np.ndarray) -> torch.Tensor:
        """See `Engine.keep_resident`. They lie on the device."""
        return self.to_device(array)

    def compile_transform(self, transform: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """See `Engine.compile_transform`. It is executed eagerly."""
        return torch.no_grad()(transform)

    def compile_function(
        self, variant: Variant, function: Callable[..., torch.Tensor], variables: Sequence[keras.Variable]
    ) -> Callable[..., torch.Tensor]:
        """See `Engine.compile_function`. What is not a step of `fit` is executed eagerly."""
        return torch.no_grad()(function)

    def compute_gradients(
        self,
        loss: Callable[..., torch.Tensor],
        arrays: Sequence[torch.Tensor],
        variables: Sequence[keras.Variable],
        others: Sequence[keras.Variable] = (),
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """See `Engine.compute_gradients`."""
        with torch.enable_grad():
            value = loss(*arrays)
            gradients = torch.autograd.grad(value, [variable.value for variable in variables])
        return value.detach(), gradients

    def start_on_features(
        self,
        step: HeadStep,
        variant: Variant,
        variables: Sequence[keras.Variable],
        data: tuple[np.ndarray, np.ndarray],
        order: Order,
    ) -> Training:
        """See `Engine.start_on_features`."""
        features, labels = data
        arrays = self.to_device(features), self.to_device(labels.astype(np.int64))
        return HeadTraining(step, *arrays, [self.to_device(batch) for batch in order.batches()])

    def list_extraction_forms(self, task: Task, variant: Variant) -> tuple[ExtractionForm, ...]:
        """See `Engine.list_extraction_forms`. The first is quickest to make on every machine."""
        folded = folding.make_extraction_variant(variant)
        return (ExtractionForm("eager", folded, choose_batch_size(task, variant), 1.0),)

    def make_extractor(self, model: keras.Model, transform: Callable, task: Task, form: ExtractionForm) -> Extractor:
        """See `Engine.make_extractor`."""
        forward = torch.no_grad()(model)
        return lambda images: keras.ops.convert_to_numpy(forward(transform(self.to_device(images))))


class HeadTraining(Training):
    """Trains the head on features, step by step, as in Keras' guide to custom training loops in PyTorch."""

    def __init__(
        self, step: HeadStep, features: torch.Tensor, labels: torch.Tensor, indices: Sequence[torch.Tensor]
    ) -> None:
        self.step, self.features, self.labels = step, features, labels
        self.indices = iter(indices)

    @torch.no_grad()
    def advance(self, steps: int) -> float:
        """See `Training.advance`."""
        losses, sizes = [], []
        for _ in range(steps):
            batch = next(self.indices)
            weights = torch.full((len(batch),), 1 / len(batch), device=batch.device)
            losses.append(self.step(self.features[batch], self.labels[batch], weights))
            sizes.append(len(batch))
        return float(np.average(torch.stack(losses).cpu().numpy(), weights=sizes))

    def close(self) -> None:
        """See `Training.close`."""
        self.indices = iter(())


BACKEND = Keras(TorchEngine())
