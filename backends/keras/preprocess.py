"""Raw images to network inputs: resized in the input pipeline, normalised by the model's first layer."""

from __future__ import annotations

import keras
import numpy as np

from backends.task import DATASETS, Task


def resize(task: Task) -> keras.Layer:
    """For a batch: (n, h, w, 3) uint8 to (n, image_size, image_size, 3) float32, 0..255."""
    if task.image_size == DATASETS[task.dataset][0]:
        return keras.layers.Rescaling(1.0)
    return keras.layers.Resizing(task.image_size, task.image_size, interpolation="bilinear", antialias=False)


def normalise(task: Task) -> keras.Layer:
    """0..255 to (x / 255 - mean) / std, as one scale and one offset per channel."""
    mean, std = np.array(task.mean), np.array(task.std)
    return keras.layers.Rescaling((1 / (255 * std)).tolist(), (-mean / std).tolist(), name="normalise")
