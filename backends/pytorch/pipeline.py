"""The input pipeline: a DataLoader with worker processes, as in PyTorch's CIFAR-10 tutorial, or the device's memory."""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from backends.image_files import ImageFiles
from backends.knobs import get_value
from backends.task import Variant
from backends.values import Group, Order

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]
#: Input pipelines without a loader, by the value of the knob `images`.
ON_THE_DEVICE = {
    "resident": "all images on the device, one batch at a time",
    "normalised": "all images on the device, normalised once",
}
#: Images that are normalised at once.
NORMALISED_AT_ONCE = 4096
#: Most bytes of a Unix socket's path, without the zero at its end (unix(7): 108 with it; macOS, sys/un.h: 104).
SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107
#: What multiprocessing appends to the folder of temporary files (`util.get_temp_dir`, `connection.arbitrary_address`).
SOCKET_NAME = "/pymp-12345678/listener-12345678"


class MappedArray(NamedTuple):
    """Where in a file an array is mapped from: another process maps it again, and gets no copy."""

    file: str
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]

    def read(self) -> np.ndarray:
        """Map the array."""
        return np.memmap(self.file, self.dtype, "c", self.offset, self.shape).view(np.ndarray)


class Labelled(Dataset):
    """Labelled images that a process can be given, where it is not a copy of this one."""

    def __init__(self, images: np.ndarray | ImageFiles, labels: np.ndarray) -> None:
        self.arrays: tuple[Any, np.ndarray] = images, labels

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "arrays": tuple(map(_find_mapped, self.arrays))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays = (part.read() if isinstance(part, MappedArray) else part for part in state["arrays"])
        self.__dict__.update(state, arrays=tuple(arrays))


class Images(Labelled):
    """Labelled images, each transformed when it is read."""

    def __init__(self, images: np.ndarray | ImageFiles, labels: np.ndarray, transform: Callable) -> None:
        super().__init__(images, labels)
        self.transform = transform

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        images, labels = self.arrays
        return self.transform(images[index]), int(labels[index])


class RawImages(Labelled):
    """Labelled raw images, read a batch at a time."""

    def __getitems__(self, indices: Sequence[int]) -> tuple[torch.Tensor, ...]:
        images, labels = map(torch.from_numpy, self.arrays)
        return images[indices], labels[indices].long()


class AugmentedImages(Images):
    """Labelled images, each augmented when it is read: one item for each row of `Order.rows`."""

    def __init__(
        self, images: np.ndarray | ImageFiles, labels: np.ndarray, transform: Callable, rows: np.ndarray
    ) -> None:
        super().__init__(images, labels, transform)
        self.rows = rows

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        images, labels = self.arrays
        image = index % len(images)
        return self.transform(images[image], self.rows[index]), int(labels[image])


class RawImagesWithRows(RawImages):
    """Labelled raw images, read a batch at a time together with the rows that they are to be augmented by."""

    def __init__(self, images: np.ndarray | ImageFiles, labels: np.ndarray, rows: np.ndarray) -> None:
        super().__init__(images, labels)
        self.rows = rows

    def __getitems__(self, indices: Sequence[int]) -> tuple[torch.Tensor, ...]:
        images, labels = super().__getitems__([index % len(self) for index in indices])
        return images, torch.from_numpy(self.rows[indices]), labels


def describe(variant: Variant) -> str:
    """Describe a variant's input pipeline in a few words."""
    images, workers = (get_value("pytorch", variant, knob) for knob in ("images", "workers"))
    if images in ON_THE_DEVICE:
        return ON_THE_DEVICE[images]
    how = {
        "streamed": "one image at a time",
        "uint8": "uint8, one batch at a time, normalised on the device",
        "encoded": "one file at a time, decoded by Pillow",
    }[images]
    return f"DataLoader, {workers} workers, {how}"


class Decoder:
    """Decodes a file as `torchvision.datasets.ImageFolder`, and frames and transforms it as its tutorials do."""

    def __init__(self, files: ImageFiles, transform: Callable) -> None:
        self.frame = transforms.Compose([transforms.Resize(files.resize), transforms.CenterCrop(files.crop)])
        self.transform = transform

    def __call__(self, content: bytes, *row: np.ndarray) -> Any:
        """What the transform makes of a file's pixels (crop, crop, 3) uint8, and of the row to augment them by."""
        with Image.open(io.BytesIO(content)) as image:
            return self.transform(np.asarray(self.frame(image.convert("RGB"))), *row)


def make_loader(
    images: np.ndarray | ImageFiles,
    labels: np.ndarray,
    order: Order,
    transform: Callable,
    variant: Variant,
    group: Group,
) -> DataLoader:
    """A loader of the batches of `order` in host memory: inputs (b, 3, s, s) float32, or images (b, h, w, 3) uint8
    where the variant says so, with the rows (b, c) that they are to be augmented by, if there are any; and labels (b,)
    int64.

    As in the tutorial, except for the order: `DataLoader(trainset, batch_size=4, shuffle=True, num_workers=2)`.

    Raises:
        OSError: its processes could make no socket.
    """
    raw = variant.images == "uint8"
    workers = int(get_value("pytorch", variant, "workers"))
    if workers:
        _check_socket_path()
    if isinstance(images, ImageFiles):
        transform = Decoder(images, transform)
    dataset: Labelled = RawImages(images, labels) if raw else Images(images, labels, transform)
    if order.augmentations is not None:
        rows, order = order.rows, order.number_rows()
        dataset = RawImagesWithRows(images, labels, rows) if raw else AugmentedImages(images, labels, transform, rows)
    return DataLoader(
        dataset,
        batch_sampler=[batch.tolist() for batch in order.batches()],
        collate_fn=_keep_batch if raw else None,
        num_workers=workers,
        multiprocessing_context=_make_context() if workers and group.size > 1 else None,
        prefetch_factor=int(get_value("pytorch", variant, "prefetch")) if workers else None,
        pin_memory=variant.transfer == "pinned",
        worker_init_fn=_unbind_worker if variant.affinity == "bound" else None,
    )


def _make_context() -> BaseContext:
    """How the processes are started where this one trains together with others: from a server that has no threads.

    Those of gloo and NCCL may hold a lock when this process is forked, which its copy would wait for forever (PyTorch,
    `DistributedDataParallel`: "change the multiprocessing start method to forkserver").
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _find_mapped(array: np.ndarray) -> np.ndarray | MappedArray:
    """Where an array is mapped from, or the array itself where it is not."""
    base: Any = array
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    if base is None or base.filename is None or not array.flags.c_contiguous:
        return array
    offset = array.ctypes.data - base.ctypes.data
    return MappedArray(str(base.filename), array.dtype, base.offset + offset, array.shape)


def _check_socket_path() -> None:
    """Check that the processes can make sockets among the temporary files: otherwise a batch is lost without an error,
    and training waits for it forever.
    """
    folder = tempfile.gettempdir()
    excess = len(os.fsencode(f"{folder}{SOCKET_NAME}")) - SOCKET_PATH_BYTES
    if os.name == "posix" and excess > 0:
        raise OSError(
            f"the path of the temporary folder, {folder}, is {excess} bytes too long for the sockets of a DataLoader: "
            "set TMPDIR to a shorter one, such as /tmp"
        )


def find_knobs_in_force(loader: DataLoader) -> dict[str, str]:
    """Find the values of the knobs of a loader that are in force; without a GPU no memory is pinned."""
    pinned = loader.pin_memory and torch.cuda.is_available()
    found = {
        "images": _find_images(loader.dataset),
        "workers": str(loader.num_workers),
        "transfer": "pinned" if pinned else "pageable",
    }
    return found | ({} if loader.prefetch_factor is None else {"prefetch": str(loader.prefetch_factor)})


def _find_images(dataset: Dataset) -> str:
    if isinstance(dataset, RawImages):
        return "uint8"
    return "encoded" if isinstance(dataset, Images) and isinstance(dataset.transform, Decoder) else "streamed"


def iterate_resident(
    images: np.ndarray, labels: np.ndarray, order: Order, transform: Callable, device: torch.device
) -> Batches:
    """Batches of `order`, taken and transformed on the device, which holds all raw images."""
    all_images, all_labels = torch.from_numpy(images).to(device), torch.from_numpy(labels.astype(np.int64)).to(device)
    for batch in order.augmented_batches():
        indices, *rows = (torch.from_numpy(part).to(device) for part in batch)
        yield transform(all_images[indices], *rows), all_labels[indices]


def iterate_normalised(
    images: np.ndarray,
    labels: np.ndarray,
    order: Order,
    transform: Callable,
    device: torch.device,
    dtype: torch.dtype,
    memory_format: torch.memory_format,
) -> Batches:
    """Batches of `order`, taken on the device, which holds all images as network inputs of that type and format."""
    parts = torch.from_numpy(images).split(NORMALISED_AT_ONCE)
    inputs = torch.cat([transform(part.to(device)).to(dtype=dtype, memory_format=memory_format) for part in parts])
    all_labels = torch.from_numpy(labels.astype(np.int64)).to(device)
    for batch in order.batches():
        indices = torch.from_numpy(batch).to(device)
        yield inputs[indices], all_labels[indices]


def transform_batches(
    batches: Iterator[tuple[torch.Tensor, ...]], transform: Callable, device: torch.device, non_blocking: bool
) -> Batches:
    """Raw batches, moved to the device and transformed there; `non_blocking` needs them in pinned memory."""
    for *images, labels in batches:
        yield transform(*(part.to(device, non_blocking=non_blocking) for part in images)), labels


def _unbind_worker(worker: int) -> None:
    """Allow a worker process to use all cores: it starts bound to the core of the thread that forked it."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))


def _keep_batch(batch: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """The collate function for images that are read a batch at a time: there is nothing to collate."""
    return batch
