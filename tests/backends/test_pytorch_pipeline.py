"""PyTorch's DataLoader: where its processes could not send a batch, it is not made."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest

from backends.task import Variant
from backends.values import Order

pipeline = pytest.importorskip("backends.pytorch.pipeline")

#: A folder in which the socket's path has one byte too many.
TOO_LONG = "/tmp/".ljust(pipeline.SOCKET_PATH_BYTES - len(pipeline.SOCKET_NAME) + 1, "x")


def make_loader(workers):
    images, labels = np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, np.int64)
    order = Order(np.arange(4)[None], 2, False)
    return pipeline.make_loader(images, labels, order, lambda image: image, Variant(workers=workers, images="uint8"))


def test_a_temporary_folder_whose_path_is_too_long_for_a_socket_is_refused(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", TOO_LONG)
    with pytest.raises(OSError, match=r"is 1 bytes too long for the sockets of a DataLoader: set TMPDIR"):
        make_loader("1")
    make_loader("0")
    monkeypatch.setattr(tempfile, "tempdir", TOO_LONG[:-1])
    make_loader("1")


def test_the_name_of_a_socket_is_as_long_as_multiprocessing_makes_it(monkeypatch):
    from multiprocessing import connection, util

    folder = util.get_temp_dir()
    address = connection.arbitrary_address("AF_UNIX")
    assert len(address) - len(folder[: folder.rindex("/")]) == len(pipeline.SOCKET_NAME)
