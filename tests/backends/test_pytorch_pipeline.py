"""PyTorch's DataLoader: where its processes could not send a batch, it is not made."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from multiprocessing import forkserver, resource_tracker

import numpy as np
import psutil
import pytest

from backends.task import Variant
from backends.values import Group, Order

torch = pytest.importorskip("torch")
pipeline = pytest.importorskip("backends.pytorch.pipeline")

#: A folder in which the socket's path has one byte too many.
TOO_LONG = "/tmp/".ljust(pipeline.SOCKET_PATH_BYTES - len(pipeline.SOCKET_NAME) + 1, "x")


def make_loader(workers):
    images, labels = np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, np.int64)
    order = Order(np.arange(4)[None], 2, False)
    return pipeline.make_loader(
        images, labels, order, lambda image: image, Variant(workers=workers, images="uint8"), Group()
    )


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


@pytest.fixture
def ending_servers() -> Iterator[None]:
    """Ends the two processes that multiprocessing keeps for later: other tests count those of this one."""
    yield
    forkserver._forkserver._stop()
    resource_tracker._resource_tracker._stop()


@pytest.mark.usefixtures("ending_servers")
@pytest.mark.parametrize("images", ["streamed", "uint8"])
def test_one_of_several_processes_gives_its_loaders_processes_the_images_without_a_fork(tmp_path, images):
    file = tmp_path / "images"
    pixels = np.arange(6 * 16 * 16 * 3, dtype=np.uint8).reshape(6, 16, 16, 3)
    pixels.tofile(file)
    mapped = np.memmap(file, np.uint8, "c", 0, pixels.shape).view(np.ndarray)[1:]
    labels = np.arange(5)
    order = Order(np.array([[4, 0, 2]]), 3, False)
    variant = Variant(workers="1", images=images)
    loader = pipeline.make_loader(mapped, labels, order, torch.from_numpy, variant, Group(size=2))
    assert loader.multiprocessing_context.get_start_method() == "forkserver"
    sent = pickle.dumps(loader.dataset)
    assert len(sent) < mapped.nbytes
    assert isinstance(pickle.loads(sent).arrays[0].base, np.memmap)
    ((batch, found),) = loader
    np.testing.assert_array_equal(batch, pixels[[5, 1, 3]])
    assert found.tolist() == [4, 0, 2]
    assert found.dtype == torch.int64
    assert psutil.Process().children()
    alone = pipeline.make_loader(mapped, labels, order, torch.from_numpy, variant, Group())
    assert alone.multiprocessing_context is None
