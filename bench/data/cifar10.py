"""CIFAR-10 in its "Python version": six pickled batches, from a folder, from the home, or from the authors' site.

Source of the format, the address and the checksum: Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import logging
import os
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bench.cache.home import get_home
from bench.data import restricted_pickle
from bench.data.dataset import Dataset
from bench.errors import Unavailable, UserError

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
KNOWN_HASH = "md5:c58f30108f718f92721af3b95e74349a"

FOLDER = "cifar-10-batches-py"
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = "test_batch"
SIDE, CHANNELS, CLASSES = 32, 3, 10

#: Seconds to wait for a connection, and for the next bytes on one.
TIMEOUT_S = (5, 30)


def load(
    data_dir: Path | None = None,
    progress: bool = True,
    url: str | None = None,
    known_hash: str = KNOWN_HASH,
) -> Dataset:
    """Load CIFAR-10 from `data_dir`, else from the home, else by a download to the home.

    Args:
        data_dir: has `data_batch_1` … `test_batch`, or the folder `cifar-10-batches-py` with them. A batch may have any
            number of images; checksums are not compared with the published ones.
        progress: whether a download shows a bar on stderr.
        url: of the archive; by default `$HEADTOHEAD_CIFAR10_URL` (a mirror), else the authors' site.
        known_hash: checksum of the archive, in pooch's notation.

    Raises:
        Unavailable: it is not on this machine, and the download failed or has another checksum.
        UserError: the folder does not have CIFAR-10.
    """
    if data_dir is not None:
        return read_batches(_find_batches(data_dir))
    folder = get_home() / "datasets" / FOLDER
    if folder.is_dir():
        return read_batches(folder)
    _download(folder, url or os.environ.get("HEADTOHEAD_CIFAR10_URL") or URL, known_hash, progress)
    return read_batches(folder, source="download")


def find_location(data_dir: Path | None = None) -> str:
    """The folder whose batches `load` would read.

    Raises:
        Unavailable: there is none; `load` would download them.
        UserError: `data_dir` does not have them.
    """
    folder = _find_batches(data_dir) if data_dir else get_home() / "datasets" / FOLDER
    if not folder.is_dir():
        raise Unavailable(
            f"not in {folder}: would be downloaded; or put {FOLDER} there, or give its folder with --data-dir"
        )
    for name in (*TRAIN, TEST):
        if not (folder / name).is_file():
            raise _make_missing_file_error(folder / name)
    return str(folder)


def read_batches(folder: Path, source: str | None = None) -> Dataset:
    """Read the six batches in `folder`.

    Raises:
        UserError: a batch is missing or damaged, has another shape, or contains code.
    """
    images, labels = zip(*(_read_batch(folder / name) for name in TRAIN), strict=True)
    test_images, test_labels = _read_batch(folder / TEST)
    return Dataset(
        "cifar10",
        np.concatenate(images),
        np.concatenate(labels),
        test_images,
        test_labels,
        source=source or f"folder {folder}",
    )


def _find_batches(data_dir: Path) -> Path:
    if not data_dir.is_dir():
        raise UserError(f"data folder {data_dir} does not exist: give the folder that contains {FOLDER}")
    inner = data_dir / FOLDER
    if inner.is_dir() and not (data_dir / TRAIN[0]).exists():
        return inner
    return data_dir


def _make_missing_file_error(path: Path) -> UserError:
    return UserError(f"{path} is missing: give a folder with {TRAIN[0]} to {TRAIN[-1]} and {TEST} (or {FOLDER})")


def _read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 32, 32, 3) uint8 and labels (n,) int64 of one file."""
    remedy = f"replace it by CIFAR-10's {path.name}"
    if not path.is_file():
        raise _make_missing_file_error(path)
    try:
        batch = restricted_pickle.loads(path.read_bytes())
    except restricted_pickle.ForbiddenCode as code:
        raise UserError(f"{path} contains code ({code}), not CIFAR-10: {remedy}") from None
    except ValueError:
        raise UserError(f"{path} is truncated or damaged: {remedy}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {remedy}") from None
    rows, labels = _get_entry(batch, "data"), _get_entry(batch, "labels")
    if rows is None or labels is None:
        raise UserError(f"{path} has no 'data' and 'labels': {remedy}")
    return _check_images(path, rows, remedy), _check_labels(path, labels, len(rows), remedy)


def _get_entry(batch: Any, key: str) -> Any:
    """An entry of a batch. Its keys are bytes in the published files and text in rewritten ones."""
    if not isinstance(batch, dict):
        return None
    return batch.get(key.encode(), batch.get(key))


def _check_images(path: Path, rows: Any, remedy: str) -> np.ndarray:
    """The images (n, 32, 32, 3) uint8 in a batch's rows, if they are what the format says."""
    width = CHANNELS * SIDE * SIDE
    if not (isinstance(rows, np.ndarray) and rows.dtype == np.uint8 and rows.ndim == 2 and rows.shape[1] == width):
        found = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise UserError(f"{path} has images as {found}, not as uint8 (n, {width}): {remedy}")
    if not len(rows):
        raise UserError(f"{path} has no images: {remedy}")
    # A row has one channel after the other; the harness uses channels last.
    return np.ascontiguousarray(rows.reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1))


def _check_labels(path: Path, values: Any, count: int, remedy: str) -> np.ndarray:
    """The labels (count,) int64 of a batch, if they are what the format says."""
    if not isinstance(values, list | np.ndarray) or len(values) != count:
        found = len(values) if isinstance(values, list | np.ndarray) else "no list of"
        raise UserError(f"{path} has {found} labels for {count} images: {remedy}")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < CLASSES:
            raise UserError(f"{path} has the label {value!r}, which is not in 0..{CLASSES - 1}: {remedy}")
    return np.array(values, dtype=np.int64)


def _download(folder: Path, url: str, known_hash: str, progress: bool) -> None:
    """Fill `folder` from the archive at `url`; the folder appears complete or not at all."""
    # pooch imports requests, which is slow, and which only a download needs.
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.ERROR)
    try:
        archive = pooch.retrieve(
            url,
            known_hash,
            fname="cifar-10-python.tar.gz",
            path=folder.parent,
            downloader=pooch.HTTPDownloader(progressbar=progress, chunk_size=1 << 16, timeout=TIMEOUT_S),
        )
        _extract(Path(archive), folder)
        Path(archive).unlink()
    except requests.exceptions.ConnectTimeout:
        raise _make_unavailable_error(folder, f"no answer from {_get_host(url)} within {TIMEOUT_S[0]} s") from None
    except requests.exceptions.Timeout:
        raise _make_unavailable_error(folder, f"{_get_host(url)} sent nothing for {TIMEOUT_S[1]} s") from None
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code if error.response is not None else "error"
        raise _make_unavailable_error(folder, f"{_get_host(url)} answered HTTP {status}") from None
    except requests.exceptions.ChunkedEncodingError:
        raise _make_unavailable_error(folder, f"{_get_host(url)} interrupted the transfer") from None
    except requests.exceptions.ConnectionError:
        raise _make_unavailable_error(folder, f"no connection to {_get_host(url)}") from None
    except requests.exceptions.RequestException as error:
        raise _make_unavailable_error(folder, f"{url}: {type(error).__name__}") from None
    except tarfile.TarError:
        raise _make_unavailable_error(folder, f"the archive from {url} cannot be unpacked") from None
    except OSError as error:
        raise _make_unavailable_error(folder, f"{error.strerror or error}") from None
    except ValueError as error:
        # pooch reports a wrong checksum as a ValueError, and has deleted the file.
        reason = "has another checksum" if "hash" in str(error) else f"is not usable, {error}"
        raise _make_unavailable_error(folder, f"the file from {url} {reason}") from None


def _make_unavailable_error(folder: Path, reason: str) -> Unavailable:
    return Unavailable(
        f"CIFAR-10 is not on this machine and could not be downloaded ({reason}): "
        f"put {FOLDER} into {folder.parent} or give its folder with --data-dir"
    )


def _get_host(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).netloc or url


def _extract(archive: Path, folder: Path) -> None:
    """Unpack the six batches under their own names, and nothing else from the archive.

    Raises:
        ValueError: a batch is not in the archive.
    """
    names = {f"{FOLDER}/{name}": name for name in (*TRAIN, TEST, "batches.meta")}
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{FOLDER}-") as temporary:
        # Not the temporary folder itself: its removal would fail after the rename.
        unpacked = Path(temporary) / FOLDER
        unpacked.mkdir()
        with tarfile.open(archive) as members:
            for member in members:
                name = names.get(str(PurePosixPath(member.name)))
                content = members.extractfile(member) if name and member.isfile() else None
                if name and content:
                    with (unpacked / name).open("wb") as file:
                        shutil.copyfileobj(content, file)
        missing = [name for name in (*TRAIN, TEST) if not (unpacked / name).is_file()]
        if missing:
            raise ValueError(f"it has no {missing[0]}")
        try:
            unpacked.rename(folder)
        except OSError:
            # Another process has unpacked the same archive first.
            if not folder.is_dir():
                raise
