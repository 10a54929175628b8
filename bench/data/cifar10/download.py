"""The download of CIFAR-10's archive from the authors' site or from a mirror."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from bench.data.cifar10.batch_files import FOLDER, NAMES
from bench.errors import Unavailable

#: Source of the address and of the checksum: Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html.
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
KNOWN_HASH = "md5:c58f30108f718f92721af3b95e74349a"

#: Seconds to wait for a connection, and for the next bytes on one.
TIMEOUT_S = (5, 30)


def download(folder: Path, url: str, known_hash: str, progress: bool) -> None:
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


def has_hash(file: Path, known_hash: str) -> bool:
    """Whether a file has a hash in pooch's notation, as `md5:c58f…`."""
    algorithm, _, digits = known_hash.partition(":")
    if not digits:
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, algorithm).hexdigest() == digits


def _make_unavailable_error(folder: Path, reason: str) -> Unavailable:
    return Unavailable(
        f"CIFAR-10 is not on this machine and could not be downloaded ({reason}): "
        f"put {FOLDER} into {folder.parent}, or its archive, or give one of them with --data-dir"
    )


def _get_host(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).netloc or url


def _extract(archive: Path, folder: Path) -> None:
    """Unpack the six batches under their own names, and nothing else from the archive.

    Raises:
        ValueError: a batch is not in the archive.
    """
    names = {f"{FOLDER}/{name}": name for name in (*NAMES, "batches.meta")}
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
        missing = [name for name in NAMES if not (unpacked / name).is_file()]
        if missing:
            raise ValueError(f"it has no {missing[0]}")
        try:
            unpacked.rename(folder)
        except OSError:
            # Another process has unpacked the same archive first.
            if not folder.is_dir():
                raise
