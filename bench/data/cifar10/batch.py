"""One batch of CIFAR-10: a pickle in the "Python version", rows of bytes in the "binary version".

Source of both formats: Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.data import restricted_pickle
from bench.data.cifar10.batch_files import BatchFiles
from bench.errors import UserError

SIDE, CHANNELS, CLASSES = 32, 3, 10
#: Bytes of an image: one channel after the other.
WIDTH = CHANNELS * SIDE * SIDE


def read_batch(files: BatchFiles, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 32, 32, 3) uint8 and labels (n,) int64 of one batch.

    Raises:
        UserError: it is damaged, has another shape, or contains code.
    """
    where = files.describe(name)
    remedy = f"replace it by CIFAR-10's {files.get_file_name(name)}"
    content = files.read(name)
    rows, labels = _parse_rows(where, content, remedy) if files.binary else _parse_pickle(where, content, remedy)
    return _check_images(where, rows, remedy), _check_labels(where, labels, len(rows), remedy)


def _parse_rows(where: str, content: bytes, remedy: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows and labels of a binary batch: each image is its label, then its pixels."""
    if len(content) % (1 + WIDTH):
        raise UserError(
            f"{where} has {len(content):,} bytes, which is no multiple of an image's {1 + WIDTH:,}: {remedy}"
        )
    table = np.frombuffer(content, np.uint8).reshape(-1, 1 + WIDTH)
    return table[:, 1:], table[:, 0]


def _parse_pickle(where: str, content: bytes, remedy: str) -> tuple[Any, Any]:
    """The entries `data` and `labels` of a pickled batch. Its keys are bytes in the published files and text in
    rewritten ones.
    """
    try:
        batch = restricted_pickle.loads(content)
    except restricted_pickle.ForbiddenCode as code:
        raise UserError(f"{where} contains code ({code}), not CIFAR-10: {remedy}") from None
    except ValueError:
        raise UserError(f"{where} is truncated or damaged: {remedy}") from None
    entries = {_decode(key): value for key, value in batch.items()} if isinstance(batch, dict) else {}
    if "fine_labels" in entries:
        raise UserError(f"{where} is CIFAR-100, not CIFAR-10: {remedy}")
    if "data" not in entries or "labels" not in entries:
        raise UserError(f"{where} has no 'data' and 'labels': {remedy}")
    return entries["data"], entries["labels"]


def _decode(key: Any) -> Any:
    return key.decode("latin1") if isinstance(key, bytes) else key


def _check_images(where: str, rows: Any, remedy: str) -> np.ndarray:
    """The images (n, 32, 32, 3) uint8 in a batch's rows, if they are what the format says."""
    if not (isinstance(rows, np.ndarray) and rows.dtype == np.uint8 and rows.ndim == 2 and rows.shape[1] == WIDTH):
        found = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise UserError(f"{where} has images as {found}, not as uint8 (n, {WIDTH}): {remedy}")
    if not len(rows):
        raise UserError(f"{where} has no images: {remedy}")
    # A row has one channel after the other; the harness uses channels last.
    return np.ascontiguousarray(rows.reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1))


def _check_labels(where: str, values: Any, count: int, remedy: str) -> np.ndarray:
    """The labels (count,) int64 of a batch, if they are what the format says."""
    if isinstance(values, np.ndarray) and values.ndim:
        values = list(values[:, 0] if values.shape == (count, 1) else values)
    if not isinstance(values, list | tuple) or len(values) != count:
        found = len(values) if isinstance(values, list | tuple) else "no list of"
        raise UserError(f"{where} has {found} labels for {count} images: {remedy}")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < CLASSES:
            raise UserError(f"{where} has the label {value!r}, which is not in 0..{CLASSES - 1}: {remedy}")
    return np.array(values, dtype=np.int64)
