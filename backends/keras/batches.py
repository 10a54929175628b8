"""The input pipeline of the engines that have none of their own in Keras: a `PyDataset` of batches.

`fit` accepts it on every engine (keras.io/api/utils/python_utils, "PyDataset class"). Nothing is resized in it: Keras'
guide to preprocessing layers (keras.io/guides/preprocessing_layers) has them in the model where there is no tf.data.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from backends.base import Training
from backends.image_files import ImageFiles, frame
from backends.values import Order, check_labels

DESCRIPTIONS = {
    "streamed": "keras.utils.PyDataset, NumPy batches",
    "encoded": "keras.utils.PyDataset, files decoded by Pillow in threads",
    "normalised": "keras.utils.PyDataset, batches of images in memory that were normalised once",
}
#: Images that are normalised at once.
NORMALISED_AT_ONCE = 4096


class FilesByIndex:
    """Image files that are decoded when they are taken, as Keras' `load_img` does (with Pillow), in threads."""

    def __init__(self, files: ImageFiles) -> None:
        self.files = files
        self.threads = ThreadPoolExecutor()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """The images (n, crop, crop, 3) uint8 at indices (n,)."""
        return np.stack(list(self.threads.map(self._decode, indices.tolist())))

    def _decode(self, index: int) -> np.ndarray:
        return frame(keras.utils.load_img(io.BytesIO(self.files[index])), self.files.resize, self.files.crop)


class Batches(keras.utils.PyDataset):
    """The batches of an order: images (b, s, s, 3) of an array, a tensor of PyTorch or files, and labels (b,) int32."""

    def __init__(self, images: Any, labels: np.ndarray, order: Order, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.images, self.labels = images, labels.astype(np.int32)
        self.batches = list(order.batches())

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> tuple[Any, np.ndarray]:
        """A batch."""
        indices = self.batches[index]
        return self.images[indices], self.labels[indices]

    def on_epoch_begin(self) -> None:
        """Refuse labels that are not a class.

        Raises:
            ValueError: there is one.
        """
        check_labels(self.labels, self.classes)


class AugmentedBatches(Batches):
    """The same batches, augmented: on the device, where the model's inputs are."""

    def __init__(
        self,
        images: np.ndarray | FilesByIndex,
        labels: np.ndarray,
        order: Order,
        classes: int,
        transform: Callable[..., Any],
        to_device: Callable[[np.ndarray], Any],
    ) -> None:
        super().__init__(images, labels, order, classes)
        self.transform, self.to_device = transform, to_device
        self.rows = [rows for _, rows in order.augmented_batches()]

    def __getitem__(self, index: int) -> tuple[Any, np.ndarray]:
        """A batch."""
        images, labels = super().__getitem__(index)
        return self.transform(self.to_device(images), self.to_device(self.rows[index])), labels


def normalise_all(images: np.ndarray, transform: Callable) -> np.ndarray:
    """All images as network inputs (n, s, s, 3) float32, in host memory; they are transformed in parts."""
    parts = np.array_split(images, -(-len(images) // NORMALISED_AT_ONCE))
    return np.concatenate([keras.ops.convert_to_numpy(transform(part)) for part in parts])


class Loading(Training):
    """Takes batches, brings them to the device, and discards them."""

    def __init__(self, batches: Batches, to_device: Callable[[np.ndarray], object]) -> None:
        self.batches, self.to_device, self.done = batches, to_device, 0

    def advance(self, steps: int) -> float:
        """See `Trainer.start_loading`."""
        if self.done + steps > len(self.batches):
            raise StopIteration
        for index in range(self.done, self.done + steps):
            for array in self.batches[index]:
                if isinstance(array, np.ndarray):  # a tensor is there already
                    self.to_device(array)
        self.done += steps
        return 0.0

    def close(self) -> None:
        """See `Training.close`."""
        self.done = len(self.batches)
