"""CIFAR-10 in its "Python version": six pickled batches, from a folder, from home, or from the authors' site.

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

from bench.cache.home import home
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
    """CIFAR-10 from `data_dir`, else from home, else downloaded to home.

    Args:
        data_dir: holds `data_batch_1` … `test_batch`, or the folder `cifar-10-batches-py` with them. Any
            number of images per batch is fine; checksums are not compared with the published ones.
        progress: whether a download shows a bar on stderr.
        url: of the archive; by default `$HEADTOHEAD_CIFAR10_URL` (a mirror), else the authors' site.
        known_hash: what a downloaded archive has to have, as pooch writes it.

    Raises:
        Unavailable: not on this machine, and the download failed or brought something else.
        UserError: the folder does not hold CIFAR-10.
    """
    if data_dir is not None:
        return read(_batches_folder(data_dir))
    folder = home() / "datasets" / FOLDER
    if folder.is_dir():
        return read(folder)
    _download(folder, url or os.environ.get("HEADTOHEAD_CIFAR10_URL") or URL, known_hash, progress)
    return read(folder, source="download")


def where(data_dir: Path | None = None) -> str:
    """Where the batches lie that `load` would read.

    Raises:
        Unavailable: nowhere: `load` would download them.
        UserError: `data_dir` does not hold them.
    """
    folder = _batches_folder(data_dir) if data_dir else home() / "datasets" / FOLDER
    if not folder.is_dir():
        raise Unavailable(f"not at {folder}: would be downloaded, or put {FOLDER} there or name it with --data-dir")
    for name in (*TRAIN, TEST):
        if not (folder / name).is_file():
            raise _lacks(folder / name)
    return str(folder)


def read(folder: Path, source: str | None = None) -> Dataset:
    """The six batches in `folder`.

    Raises:
        UserError: a batch is missing, damaged, of another shape, or holds code.
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


def _batches_folder(data_dir: Path) -> Path:
    if not data_dir.is_dir():
        raise UserError(f"data folder {data_dir} does not exist: give the folder that holds {FOLDER}")
    inner = data_dir / FOLDER
    if inner.is_dir() and not (data_dir / TRAIN[0]).exists():
        return inner
    return data_dir


def _lacks(path: Path) -> UserError:
    return UserError(f"{path} is missing: give a folder with {TRAIN[0]} to {TRAIN[-1]} and {TEST} (or {FOLDER})")


def _read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 32, 32, 3) uint8 and labels (n,) int64 of one file."""
    mend = f"put CIFAR-10's {path.name} there again"
    if not path.is_file():
        raise _lacks(path)
    try:
        batch = restricted_pickle.loads(path.read_bytes())
    except restricted_pickle.HoldsCode as code:
        raise UserError(f"{path} holds code ({code}), not CIFAR-10: delete it and {mend}") from None
    except ValueError:
        raise UserError(f"{path} is cut off or damaged: {mend}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {mend}") from None
    rows, labels = _entry(batch, "data"), _entry(batch, "labels")
    if rows is None or labels is None:
        raise UserError(f"{path} has no 'data' and 'labels': {mend}")
    return _images(path, rows, mend), _labels(path, labels, len(rows), mend)


def _entry(batch: Any, key: str) -> Any:
    """An entry of a batch, whose keys are bytes in the published files and text in rewritten ones."""
    if not isinstance(batch, dict):
        return None
    return batch.get(key.encode(), batch.get(key))


def _images(path: Path, rows: Any, mend: str) -> np.ndarray:
    width = CHANNELS * SIDE * SIDE
    if not (isinstance(rows, np.ndarray) and rows.dtype == np.uint8 and rows.ndim == 2 and rows.shape[1] == width):
        found = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise UserError(f"{path} holds images as {found}, not as uint8 (n, {width}): {mend}")
    if not len(rows):
        raise UserError(f"{path} holds no images: {mend}")
    # Rows are channel by channel on disk; the harness speaks channels last.
    return np.ascontiguousarray(rows.reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1))


def _labels(path: Path, values: Any, count: int, mend: str) -> np.ndarray:
    if not isinstance(values, list | np.ndarray) or len(values) != count:
        found = len(values) if isinstance(values, list | np.ndarray) else "no list of"
        raise UserError(f"{path} has {found} labels for {count} images: {mend}")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < CLASSES:
            raise UserError(f"{path} has the label {value!r}, which is not in 0..{CLASSES - 1}: {mend}")
    return np.array(values, dtype=np.int64)


def _download(folder: Path, url: str, known_hash: str, progress: bool) -> None:
    """Fill `folder` from the archive at `url`; it appears whole or not at all."""
    # pooch imports requests, which is slow and which only a download needs.
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
        raise _unavailable(folder, f"no answer from {_host(url)} within {TIMEOUT_S[0]} s") from None
    except requests.exceptions.Timeout:
        raise _unavailable(folder, f"{_host(url)} went silent for {TIMEOUT_S[1]} s") from None
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code if error.response is not None else "error"
        raise _unavailable(folder, f"{_host(url)} answered HTTP {status}") from None
    except requests.exceptions.ChunkedEncodingError:
        raise _unavailable(folder, f"{_host(url)} cut the transfer off") from None
    except requests.exceptions.ConnectionError:
        raise _unavailable(folder, f"no connection to {_host(url)}") from None
    except requests.exceptions.RequestException as error:
        raise _unavailable(folder, f"{url}: {type(error).__name__}") from None
    except tarfile.TarError:
        raise _unavailable(folder, f"the archive from {url} cannot be unpacked") from None
    except OSError as error:
        raise _unavailable(folder, f"{error.strerror or error}") from None
    except ValueError as error:
        # pooch reports a checksum that differs as a ValueError; it has deleted the file by now.
        reason = "has another checksum" if "hash" in str(error) else f"is not usable, {error}"
        raise _unavailable(folder, f"the file from {url} {reason}") from None


def _unavailable(folder: Path, reason: str) -> Unavailable:
    return Unavailable(
        f"CIFAR-10 is not on this machine and could not be downloaded ({reason}): "
        f"put {FOLDER} into {folder.parent} or give its folder with --data-dir"
    )


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).netloc or url


def _extract(archive: Path, folder: Path) -> None:
    """Unpack the six batches, and nothing else that the archive may hold, under their own names.

    Raises:
        ValueError: a batch is not in the archive.
    """
    wanted = {f"{FOLDER}/{name}": name for name in (*TRAIN, TEST, "batches.meta")}
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{FOLDER}-") as temporary:
        # Not the temporary folder itself, whose removal would then fail.
        unpacked = Path(temporary) / FOLDER
        unpacked.mkdir()
        with tarfile.open(archive) as members:
            for member in members:
                name = wanted.get(str(PurePosixPath(member.name)))
                content = members.extractfile(member) if name and member.isfile() else None
                if name and content:
                    with (unpacked / name).open("wb") as file:
                        shutil.copyfileobj(content, file)
        missing = [name for name in (*TRAIN, TEST) if not (unpacked / name).is_file()]
        if missing:
            raise ValueError(f"it lacks {missing[0]}")
        try:
            unpacked.rename(folder)
        except OSError:
            # Another process was faster with the same archive.
            if not folder.is_dir():
                raise
