"""Published weights: downloaded from a working or a broken server, and never used if incomplete."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backends.task import Task
from bench.errors import Unavailable, UserError
from bench.weights import checkpoints
from tests.bench.download_server import Served, closed_port_url, serving
from tests.bench.weights.reading import read_tensors

TASK = Task(name="t", backbone="resnet18", weights="IMAGENET1K_V1", dataset="cifar10", image_size=32)
WRITE = """
import sys, torch
from backends.backbones import BACKBONES
from bench.weights.random_weights import draw_weights
state = {name: torch.from_numpy(array) for name, array in draw_weights(BACKBONES["resnet18"], 0).items()}
torch.save(state | {"fc.weight": torch.ones(1000, 512), "fc.bias": torch.ones(1000)}, sys.argv[1])
"""


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    """A file as torchvision publishes them, of weights that nobody trained."""
    file = tmp_path_factory.mktemp("published") / "resnet18.pth"
    subprocess.run([sys.executable, "-c", WRITE, str(file)], check=True)
    return file.read_bytes()


@pytest.fixture
def name(content) -> str:
    return f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"


def fetch(served: Served, name: str, progress: bool = False) -> checkpoints.Checkpoint:
    return checkpoints.obtain(TASK, progress=progress, url=served.url(name))


def files(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_a_slow_download_shows_progress_and_is_converted_once_and_kept(content, name, home, capfd):
    with serving(content, pieces=10, pause_s=0.2) as served:
        first = fetch(served, name, progress=True)
        bar = capfd.readouterr().err
        assert "100%" in bar
        assert bar.count("%") > 3
        second = fetch(served, name)
    assert served.requests == [f"/{name}"]
    assert first == second
    assert first.source == served.url(name)
    assert files(home) == [
        "checkpoints/resnet18-IMAGENET1K_V1/config.json",
        "checkpoints/resnet18-IMAGENET1K_V1/model.safetensors",
        f"downloads/{name}",
    ]
    # The classifier stays for other readers, and is not among the backbone's tensors.
    assert '"num_classes": 1000' in (first.folder / "config.json").read_text()
    assert "fc.weight" not in read_tensors(first)


def test_a_transfer_that_is_cut_off_is_not_used_and_the_next_try_works(content, name, home):
    with serving(content, cut_at=len(content) // 2) as served:
        with pytest.raises(Unavailable) as error:
            fetch(served, name)
        assert "truncated" in str(error.value)
        assert files(home) == []
        assert list((home / "checkpoints").iterdir()) == []
        served.cut_at = None
        assert fetch(served, name).sha256


def test_a_wrong_file_is_thrown_away(content, name, home):
    with serving(content[:-1] + b"x") as served, pytest.raises(Unavailable) as error:
        fetch(served, name)
    assert "checksum" in str(error.value)
    assert f"put {name} into {home / 'downloads'}" in str(error.value)
    assert files(home) == []


def test_the_mirror_is_used_for_torchvisions_file_and_an_http_error_is_reported(monkeypatch, home):
    with serving(b"gone", status=404) as served:
        monkeypatch.setenv("HEADTOHEAD_WEIGHTS_MIRROR", served.url("models"))
        with pytest.raises(Unavailable, match=r"HTTP 404\): put resnet18-f37072fd\.pth"):
            checkpoints.obtain(TASK, progress=False)
    assert served.requests == ["/models/resnet18-f37072fd.pth"]
    assert files(home) == []


def test_without_a_server_one_line_says_where_to_put_which_file(name, home, tmp_path):
    # What torch.hub has is no way out where its checksum differs.
    hub = tmp_path / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    (hub / name).write_bytes(b"damaged")
    start = time.monotonic()
    with pytest.raises(Unavailable) as error:
        checkpoints.obtain(TASK, progress=False, url=closed_port_url(name))
    message = str(error.value)
    assert "\n" not in message
    assert "no connection to 127.0.0.1" in message
    assert f"put {name} into {home / 'downloads'}, or give it with --checkpoint FILE" in message
    assert time.monotonic() - start < 15


def test_a_file_put_into_downloads_is_used_without_a_server(content, name, home, tmp_path):
    (home / "downloads").mkdir(parents=True)
    (home / "downloads" / name).write_bytes(content[:-10])
    nowhere = closed_port_url(name)
    with pytest.raises(UserError, match="truncated or another file") as error:
        checkpoints.obtain(TASK, progress=False, url=nowhere)
    assert not isinstance(error.value, Unavailable)
    (home / "downloads" / name).write_bytes(content)
    assert checkpoints.obtain(TASK, progress=False, url=nowhere).sha256


def test_what_torch_hub_has_downloaded_before_is_used_as_it_is(content, name, home, tmp_path):
    hub = tmp_path / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    (hub / name).write_bytes(content)
    assert checkpoints.obtain(TASK, progress=False, url=closed_port_url(name)).sha256
    assert not (home / "downloads" / name).exists()


def test_an_address_without_a_checksum_is_refused():
    with pytest.raises(UserError, match="has no checksum"):
        checkpoints.obtain(TASK, progress=False, url=closed_port_url("resnet18.pth"))
