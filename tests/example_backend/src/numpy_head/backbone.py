"""The frozen network, in PyTorch: raw images to network inputs, and these to pooled features."""

import numpy as np
import timm
import torch
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from backends.backbones import Backbone
from backends.task import Task
from backends.task_entries import DATASETS
from backends.values import Tensors

BLOCKS = {"basic": BasicBlock, "bottleneck": Bottleneck}


class FrozenBackbone:
    """A network up to its global average pool, which nothing trains."""

    def __init__(self, task: Task) -> None:
        self.image_size, self.image_side = task.image_size, DATASETS[task.dataset].side
        self.network = _build(task.network).eval()  # in train mode it would normalise by the batch
        self.mean, self.std = (torch.tensor(values).reshape(3, 1, 1) for values in (task.mean, task.std))

    def load(self, checkpoint: Tensors) -> None:
        """Copy the checkpoint's tensors; the others of PyTorch's names count batches, and nothing reads them."""
        state = self.network.state_dict()
        self.network.load_state_dict(state | {name: torch.tensor(tensor) for name, tensor in checkpoint.items()})

    def read(self, names: Tensors) -> dict[str, np.ndarray]:
        """Read the tensors of these names."""
        state = self.network.state_dict()
        return {name: state[name].numpy().copy() for name in names}

    def preprocess(self, images: np.ndarray) -> torch.Tensor:
        """Network inputs (n, 3, s, s) of raw images (n, h, w, 3): scaled to 0..1, resized, normalised."""
        inputs = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float().div(255)
        if self.image_side != self.image_size:
            size = (self.image_size, self.image_size)
            inputs = torch.nn.functional.interpolate(inputs, size=size, mode="bilinear", align_corners=False)
        return (inputs - self.mean) / self.std

    @torch.inference_mode()
    def compute_features(self, inputs: torch.Tensor) -> np.ndarray:
        """Pooled features (n, d) of network inputs."""
        return self.network(inputs).numpy()


def _build(backbone: Backbone) -> torch.nn.Module:
    if backbone.family == "resnet":
        network = ResNet(BLOCKS[backbone.block], list(backbone.blocks))
        network.fc = torch.nn.Identity()
        return network
    return timm.create_model(backbone.architecture, pretrained=False, num_classes=0)
