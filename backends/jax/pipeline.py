"""The input pipeline: a generator of batches, as in Flax' guides to training and to data loaders, or the device's
memory.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from backends.base import Training
from backends.image_files import ImageFiles, frame
from backends.values import Order

#: Arrays of a step: the inputs, or what they are taken from in the step, and the labels.
Batch = tuple[jax.Array | np.ndarray, ...]

DESCRIPTIONS = {
    "streamed": "a generator of NumPy batches, normalised on the device",
    "encoded": "Grain, files decoded by Pillow in threads, normalised on the device",
    "uint8": "a generator of NumPy batches, normalised in the compiled step",
    "resident": "all images on the device, each batch taken in the compiled step",
    "normalised": "all images on the device, normalised once, each batch taken in the compiled step",
}
#: Images that are normalised at once.
NORMALISED_AT_ONCE = 4096


def make_loader(images: np.ndarray, labels: np.ndarray, order: Order, transform: Callable) -> Iterator[Batch]:
    """The batches of `order`: the arrays that `transform` makes of raw images (b, h, w, 3), and of the rows (b, c) that
    they are to be augmented by, if there are any; and labels (b,) int32.

    (flax.readthedocs.io, "Introduction to Data Loaders with JAX": `get_batches`, a generator that takes the batch,
    scales it in JAX and yields it. JAX computes asynchronously, so that the next batch is prepared during the step.)
    """
    labels = labels.astype(np.int32)
    for batch, *rows in order.augmented_batches():
        yield *transform(images[batch], *rows), labels[batch]


def decode(content: bytes, files: ImageFiles) -> np.ndarray:
    """The pixels (crop, crop, 3) uint8 of one of these files."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        return frame(image.convert("RGB"), files.resize, files.crop)


def make_file_loader(files: ImageFiles, labels: np.ndarray, order: Order, transform: Callable) -> Iterator[Batch]:
    """As `make_loader`, of files that Grain decodes ahead, in its threads (google-grain.readthedocs.io, "Transforming
    data"; the numbers of threads and of images ahead are Grain's defaults).
    """
    import grain

    labels = labels.astype(np.int32)
    indices = np.concatenate([batch for batch, *_ in order.augmented_batches()])
    source = grain.MapDataset.source(indices).map(lambda index: decode(files[int(index)], files))
    images = iter(source.to_iter_dataset())
    for batch, *rows in order.augmented_batches():
        yield *transform(np.stack([next(images) for _ in batch]), *rows), labels[batch]


def normalise_all(images: np.ndarray, transform: Callable) -> jax.Array:
    """All images as network inputs (n, s, s, 3) float32, on the device; they are transformed in parts."""
    parts = np.array_split(images, -(-len(images) // NORMALISED_AT_ONCE))
    return jnp.concatenate([transform(part) for part in parts])


class Loading(Training):
    """Takes batches from an iterator to the device, and discards them."""

    def __init__(self, batches: Iterator[Batch], take: Callable[..., Batch]) -> None:
        self.batches, self.take = batches, take

    def advance(self, steps: int) -> float:
        """See `Trainer.start_loading`."""
        for _ in range(steps):
            batch = self.take(*next(self.batches))
        jax.block_until_ready(batch)
        return 0.0

    def close(self) -> None:
        """See `Training.close`."""
        self.batches = iter(())
