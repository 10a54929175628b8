"""Reads a checkpoint as a worker does."""

from __future__ import annotations

import numpy as np

from backends.backbones import BACKBONES
from bench.weights.checkpoint_folder import MODEL, read_model
from bench.weights.checkpoints import Checkpoint


def read_tensors(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    return read_model(checkpoint.folder / MODEL, BACKBONES[checkpoint.backbone])
