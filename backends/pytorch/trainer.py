"""The training step, and training as a whole."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader

from backends import folding, knobs
from backends.base import Backend, Trainer, Training
from backends.engines.torch import distribution
from backends.exported.exported_backbone import PROGRAM, is_exported
from backends.extraction import ExtractionForm, Extractor
from backends.image_files import ImageFiles
from backends.kernels import Kernel
from backends.pytorch import device as devices
from backends.pytorch import kernels, model, optimizer, pipeline, preprocess, profiler
from backends.pytorch.head import HeadStep, HeadTraining, OptimizerHeadStep
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Group, Head, Order, Tensors

ALONE = Group()
Batch = tuple[torch.Tensor, torch.Tensor]


class PyTorchTrainer(Trainer):
    """`backends.base.Trainer` in PyTorch."""

    def __init__(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head, group: Group = ALONE) -> None:
        knobs.check_variant("pytorch", variant, task)
        self.task, self.variant, self.group = task, variant, group
        self.device = devices.set_up(variant)
        self.transform = preprocess.make_transform(task)
        self.batch_transform = preprocess.make_batch_transform(task, knobs.get_value("pytorch", variant, "layout"))
        self.backbone = model.build(task, variant).to(self.device)
        self.trained = {name: tensor for name, tensor in self.backbone.named_parameters() if tensor.requires_grad}
        without_gradients = torch.no_grad if variant.gradients in (None, "no_grad") else torch.inference_mode
        # If nothing below the head is trained, the backbone needs no graph of gradients.
        self.gradients = contextlib.nullcontext if self.trained else without_gradients
        self.input_format = {
            "dtype": model.DTYPES[variant.precision],
            "memory_format": model.MEMORY_FORMATS[knobs.get_value("pytorch", variant, "layout")],
        }
        self.non_blocking = variant.transfer == "pinned"
        self.overwrites_outputs = knobs.get_value("pytorch", variant, "execution") in model.REPLAYED
        self.classifier = torch.nn.Linear(task.network.features, task.classes).to(self.device)
        self.criterion = torch.nn.CrossEntropyLoss(label_smoothing=task.label_smoothing)
        self.checkpoint, self.initial_head = checkpoint, head
        self.executed_tensors = folding.prepare_tensors(task, checkpoint, variant)
        self.reset()
        one_batch = torch.zeros(task.batch_size // group.size, 3, task.image_size, task.image_size, device=self.device)
        self.forward = model.make_forward(self.backbone, task, variant, one_batch.to(**self.input_format))
        # What is trained, as its gradients are computed: on several devices they are averaged.
        self.training_classifier = distribution.exchange_gradients(self.classifier, group, self.device)
        self.training_forward = (
            distribution.exchange_gradients(self.forward, group, self.device) if self.trained else self.forward
        )
        in_force = model.find_knobs_in_force(self.backbone, task, self.forward, variant)
        in_force["optimizer"] = "fused" if self.updates.optimizer.defaults["fused"] else "unfused"
        if self.head_step:
            in_force["gradients"] = "closed_form"
        elif not self.trained:
            in_force["gradients"] = "inference_mode" if self.gradients is torch.inference_mode else "no_grad"
        if group.size > 1:
            in_force["exchange"] = torch.distributed.get_backend()
        self.resolved = devices.resolve(variant, self.device, pipeline.describe(variant), in_force)

    def reset(self, head: Head | None = None) -> None:
        """See `Trainer.reset`."""
        self.initial_head = head or self.initial_head
        model.load(self.backbone, self.task, self.executed_tensors)
        with torch.no_grad():
            self.classifier.weight.copy_(torch.from_numpy(self.initial_head.kernel.T.copy()))
            self.classifier.bias.copy_(torch.from_numpy(self.initial_head.bias.copy()))
        trained = (*self.classifier.parameters(), *self.trained.values())
        self.updates = optimizer.Updates(self.task, trained, self.variant.optimizer == "fused")
        closed = self.variant.gradients == "closed_form"
        self.head_step = HeadStep(self.classifier, self.task) if closed else None

    def preprocess(self, images: np.ndarray, *rows: np.ndarray) -> np.ndarray:
        """See `Trainer.preprocess`."""
        return self._inputs(images, *rows).permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def decode(self, files: ImageFiles) -> np.ndarray:
        """See `Trainer.decode`."""
        return np.stack(list(map(pipeline.Decoder(files, lambda pixels: pixels), files)))

    def features(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.features`."""
        with torch.no_grad():
            return self._features(self._inputs(images)).cpu().numpy()

    def exact_features(self, images: np.ndarray) -> np.ndarray | None:
        """See `Trainer.exact_features`."""
        if not is_exported(self.task.backbone) or self.variant.execution is not None:
            return None
        inputs = preprocess.make_batch_transform(self.task, "nchw", torch.float64)(torch.from_numpy(images))
        with torch.no_grad():
            try:
                return copy.deepcopy(self.backbone).double()(inputs.to(self.device)).cpu().numpy()
            except RuntimeError:
                if not self.task.backbone.startswith(PROGRAM):
                    raise
                return None  # a saved program may have single precision written into it, as that of an LSTM has

    def list_extraction_forms(self) -> tuple[ExtractionForm, ...]:
        """See `Trainer.list_extraction_forms`."""
        return model.list_extraction_forms(self.task, self.variant)

    def make_extractor(self, form: ExtractionForm) -> Extractor:
        """See `Trainer.make_extractor`."""
        return model.make_extractor(self.task, form, self.checkpoint, self.device)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.logits`."""
        with torch.no_grad():
            return self.classifier(self._features(self._inputs(images))).cpu().numpy()

    def loss_and_gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        """See `Trainer.loss_and_gradient`."""
        self.updates.optimizer.zero_grad()
        loss = self._loss(*self._share(images, labels))
        loss.backward()
        kernel, bias = (parameter.grad.cpu().numpy().copy() for parameter in self.classifier.parameters())
        self.updates.optimizer.zero_grad()
        return loss.item(), Head(kernel.T, bias)

    def backbone_gradient(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """See `Trainer.backbone_gradient`."""
        scores = self.classifier(self._features(self._inputs(images)))
        gradients = torch.autograd.grad(self.criterion(scores, self._labels(labels)), list(self.trained.values()))
        return {name: gradient.cpu().numpy() for name, gradient in zip(self.trained, gradients, strict=True)}

    def step(self, images: np.ndarray, labels: np.ndarray, *rows: np.ndarray) -> float:
        """See `Trainer.step`."""
        return self.train_step(*self._share(images, labels, *rows)).item()

    def train_step(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Train one step on a batch on the device; the mean loss stays there."""
        if self.head_step:
            with torch.inference_mode():
                return self.head_step(self.forward(inputs.to(**self.input_format)).float(), labels)
        loss = self._loss(inputs, labels)
        self.updates.make(loss)
        return loss.detach()

    def start(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start`."""
        return PyTorchTraining(self, self._batches(images, labels, order))

    def start_loading(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_loading`."""
        return PyTorchLoading(self, self._batches(images, labels, order))

    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_device`."""
        own = order.share(self.group).augmented_batches()
        batches = [(self._inputs(images[batch], *rows), self._labels(labels[batch])) for batch, *rows in own]
        return PyTorchTraining(self, itertools.cycle(batches))

    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_features`."""
        step = (
            HeadStep(self.classifier, self.task)
            if self.group.size == 1 and self.task.update_rule == "sgd"
            else OptimizerHeadStep(self.training_classifier, self.criterion, self.updates)
        )
        return HeadTraining(step, features, labels, order.share(self.group))

    def head_logits(self, features: np.ndarray) -> np.ndarray:
        """See `Trainer.head_logits`."""
        with torch.no_grad():
            return self.classifier(torch.from_numpy(features).to(self.device)).cpu().numpy()

    def head(self) -> Head:
        """See `Trainer.head`."""
        kernel, bias = (parameter.detach().cpu().numpy().copy() for parameter in self.classifier.parameters())
        return Head(kernel.T, bias)

    def parameters(self) -> dict[str, np.ndarray]:
        """See `Trainer.parameters`."""
        now = model.read(self.backbone, self.executed_tensors)
        return folding.recover_checkpoint(now, self.executed_tensors, self.checkpoint)

    def reset_device_memory(self) -> None:
        """See `Trainer.reset_device_memory`."""
        devices.reset_memory(self.device)

    def device_memory(self) -> DeviceMemory | None:
        """See `Trainer.device_memory`."""
        return devices.read_memory(self.device)

    def _batches(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Iterator[Batch]:
        order = order.share(self.group)
        if isinstance(images, np.ndarray) and self.variant.images == "resident":
            return pipeline.iterate_resident(images, labels, order, self.batch_transform, self.device)
        if isinstance(images, np.ndarray) and self.variant.images == "normalised":
            return pipeline.iterate_normalised(
                images, labels, order, self.batch_transform, self.device, **self.input_format
            )
        batches = iter(self._loader(images, labels, order))
        if self.variant.images == "uint8":
            return pipeline.transform_batches(batches, self.batch_transform, self.device, self.non_blocking)
        return batches

    def _loader(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> DataLoader:
        loader = pipeline.make_loader(images, labels, order, self.transform, self.variant, self.group)
        flags = {**self.resolved.flags, **pipeline.find_knobs_in_force(loader)}
        self.resolved = dataclasses.replace(self.resolved, flags=flags)
        return loader

    def _inputs(self, *images: np.ndarray) -> torch.Tensor:
        """Network inputs of raw images, and of the rows that they are to be augmented by, if there are any."""
        return self.batch_transform(*map(torch.from_numpy, images)).to(self.device)

    def _labels(self, labels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(labels.astype(np.int64)).to(self.device)

    def _share(self, images: np.ndarray, labels: np.ndarray, *rows: np.ndarray) -> Batch:
        """This process' share of a batch, on the device."""
        return self._inputs(*map(self.group.take, (images, *rows))), self._labels(self.group.take(labels))

    def _features(self, inputs: torch.Tensor, forward: Callable | None = None) -> torch.Tensor:
        with self.gradients():
            features = (forward or self.forward)(inputs.to(**self.input_format))
        # The head's gradient needs the features later: a tensor of inference mode cannot be kept for it, and the output
        # of a replayed graph is overwritten. A copy can be kept.
        return (features.clone() if self.overwrites_outputs or features.is_inference() else features).float()

    def _loss(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.criterion(self.training_classifier(self._features(inputs, self.training_forward)), labels)


class PyTorchTraining(Training):
    """The tutorial's training loop over a loader, which pauses between calls."""

    def __init__(self, trainer: PyTorchTrainer, batches: Iterator[Batch]) -> None:
        self.trainer, self.batches = trainer, batches

    def advance(self, steps: int) -> float:
        """See `Training.advance`."""
        device = self.trainer.device
        losses, sizes = [], []
        for _ in range(steps):
            inputs, labels = next(self.batches)
            inputs, labels = (part.to(device, non_blocking=self.trainer.non_blocking) for part in (inputs, labels))
            losses.append(self.trainer.train_step(inputs, labels))
            sizes.append(len(labels))
        # All losses are read once, at the end: reading one waits for the device.
        return float(np.average(torch.stack(losses).cpu().numpy(), weights=sizes))

    def close(self) -> None:
        """See `Training.close`."""
        self.batches = iter(())


class PyTorchLoading(PyTorchTraining):
    """The training loop without its step: batches are moved to the device and discarded."""

    def advance(self, steps: int) -> float:
        """See `Trainer.start_loading`."""
        for _ in range(steps):
            for part in next(self.batches):
                part.to(self.trainer.device, non_blocking=self.trainer.non_blocking)
        devices.synchronize(self.trainer.device)
        return 0.0


class PyTorch(Backend):
    """The backend `pytorch`."""

    name = "pytorch"
    group = ALONE

    def join(self, group: Group, variant: Variant) -> None:
        """See `Backend.join`."""
        distribution.join(group, variant)
        self.group = group

    def leave(self) -> None:
        """See `Backend.leave`."""
        distribution.leave()
        self.group = ALONE

    def describe_build(self) -> dict[str, str]:
        """See `Backend.describe_build`."""
        return devices.describe_build()

    def build(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> Trainer:
        """See `Backend.build`."""
        return PyTorchTrainer(task, variant, checkpoint, head, self.group)

    def kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """See `Backend.kernel`."""
        return kernels.build(kernel, variant)

    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """See `Backend.profile`."""
        return profiler.profile(run, folder)
