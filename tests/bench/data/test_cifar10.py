"""CIFAR-10: read from a folder, downloaded from a working or a broken server, and refused if it is not CIFAR-10."""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from bench import data
from bench.data import cifar10
from bench.errors import Unavailable, UserError
from tests.bench.data.batches import (
    BATCHES,
    RunsCode,
    archive,
    batch,
    published_archive,
    python2_pickle,
    write_folder,
)
from tests.bench.download_server import closed_port_url, serving

ARCHIVE = "cifar-10-python.tar.gz"
REAL = Path(os.environ.get("HEADTOHEAD_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HEADTOHEAD_CIFAR10_URL", raising=False)
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder in the published format with three images per batch."""
    return write_folder(tmp_path / "mine" / cifar10.FOLDER)


@pytest.fixture
def packed() -> bytes:
    return published_archive()


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


def fetch(served, packed, progress=False) -> data.Dataset:
    return cifar10.load(None, progress, url=served.url(ARCHIVE), known_hash=md5(packed))


def leftovers(home: Path) -> list[str]:
    return sorted(path.name for path in home.rglob("*") if path.is_file())


# --- a folder ---------------------------------------------------------------------------------------------


def test_pixels_and_labels_come_out_channels_last_and_in_order(folder):
    loaded = data.load("cifar10", folder)
    expected = batch(1)
    assert loaded.train_images.shape == (15, 32, 32, 3)
    assert loaded.test_images.shape == (3, 32, 32, 3)
    assert loaded.train_images.dtype == np.uint8
    assert loaded.train_images.flags.c_contiguous
    assert loaded.train_labels.dtype == np.int64
    row = expected[b"data"][2]
    for y, x, channel in ((0, 0, 0), (5, 7, 1), (31, 30, 2)):
        assert loaded.train_images[5, y, x, channel] == row[channel * 1024 + y * 32 + x]
    assert loaded.train_labels[3:6].tolist() == expected[b"labels"]
    assert str(folder) in loaded.source


def test_the_folder_above_will_do_too(folder):
    assert data.load("cifar10", folder.parent).fingerprint == data.load("cifar10", folder).fingerprint


def test_the_fingerprint_follows_one_pixel_and_one_label(folder):
    before = data.load("cifar10", folder).fingerprint
    changed = batch(2)
    changed[b"data"][0, 0] ^= 1
    (folder / "data_batch_3").write_bytes(python2_pickle(changed))
    pixel = data.load("cifar10", folder).fingerprint
    changed = batch(2)
    changed[b"labels"][0] = 9
    (folder / "data_batch_3").write_bytes(python2_pickle(changed))
    label = data.load("cifar10", folder).fingerprint
    assert len({before, pixel, label}) == 3
    assert len(before) == 16


def test_files_that_python_3_wrote_anew_are_read(folder):
    before = data.load("cifar10", folder).fingerprint
    for number, name in enumerate(BATCHES):
        renewed = {key.decode(): value for key, value in batch(number).items()}
        (folder / name).write_bytes(pickle.dumps(renewed, protocol=2))
    assert data.load("cifar10", folder).fingerprint == before


@pytest.mark.skipif(not (REAL / cifar10.FOLDER).is_dir(), reason="no real CIFAR-10 here")
def test_real_cifar10_is_read_with_all_ten_classes():
    loaded = data.load("cifar10", REAL)
    assert loaded.train_images.shape[1:] == (32, 32, 3)
    assert np.bincount(loaded.test_labels, minlength=10).min() > 0
    # Natural images: neighbouring pixels resemble each other, which a wrong reshape would undo.
    pixels = loaded.test_images.astype(float)
    assert np.abs(np.diff(pixels, axis=1)).mean() < 20
    assert np.abs(np.diff(pixels, axis=2)).mean() < 20


BAD_BATCHES = {
    "a label of 10": ({**batch(0), b"labels": [1, 10, 2]}, "label 10"),
    "a negative label": ({**batch(0), b"labels": [1, -1, 2]}, "label -1"),
    "a label that is text": ({**batch(0), b"labels": [1, b"cat", 2]}, "label b'cat'"),
    "too few labels": ({**batch(0), b"labels": [1, 2]}, "2 labels for 3 images"),
    "no labels": ({b"data": batch(0)[b"data"]}, "no 'data' and 'labels'"),
    "a list": ([1, 2], "no 'data' and 'labels'"),
    "another width": ({**batch(0), b"data": np.zeros((3, 1024), np.uint8)}, "uint8 (3, 1024)"),
    "another type": ({**batch(0), b"data": np.zeros((3, 3072), np.float32)}, "float32 (3, 3072)"),
    "no images": ({b"data": np.zeros((0, 3072), np.uint8), b"labels": []}, "no images"),
}


@pytest.mark.parametrize(("content", "words"), BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_a_batch_that_is_not_cifar10_is_refused_by_name(folder, content, words):
    (folder / "data_batch_4").write_bytes(python2_pickle(content))
    assert_refused(folder, str(folder / "data_batch_4"), words)


@pytest.mark.parametrize("kept", [10, 5000])
def test_a_truncated_batch_is_refused_by_name(folder, kept):
    whole = (folder / "test_batch").read_bytes()
    (folder / "test_batch").write_bytes(whole[:kept])
    assert_refused(folder, str(folder / "test_batch"), "truncated or damaged")


def test_a_missing_batch_is_named(folder):
    (folder / "data_batch_5").unlink()
    assert_refused(folder, str(folder / "data_batch_5"), "missing")


def test_a_missing_folder_is_named(tmp_path):
    assert_refused(tmp_path / "nowhere", str(tmp_path / "nowhere"), "does not exist")


def test_a_pickle_that_would_run_code_runs_none(folder, tmp_path):
    witness = tmp_path / "witness"
    content = pickle.dumps({b"data": RunsCode(witness)}, protocol=2)
    (folder / "data_batch_1").write_bytes(content)
    assert_refused(folder, str(folder / "data_batch_1"), "contains code (posix.system), not CIFAR-10")
    assert not witness.exists()
    pickle.loads(content)
    assert witness.exists(), "the pickle would have run nothing anyway"


def describe(content: object) -> str:
    return "code" if isinstance(content, RunsCode) else str(content)


@pytest.mark.parametrize(
    "content", [b"", b"cut", "a label of 10", "another width", RunsCode(Path("witness"))], ids=describe
)
def test_a_bad_folder_is_one_line_on_the_command_line(folder, command_line, content):
    if not isinstance(content, bytes):
        content = pickle.dumps(content, 2) if isinstance(content, RunsCode) else python2_pickle(BAD_BATCHES[content][0])
    (folder / "data_batch_4").write_bytes(content)
    ended = command_line("run", "--task", "cifar10-resnet18", "--data-dir", folder)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"bench: {folder / 'data_batch_4'} ")
    assert ended.err.count("\n") == 1
    assert not Path("witness").exists()


def test_codecs_are_no_way_in(folder):
    (folder / "data_batch_1").write_bytes(b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.")
    assert_refused(folder, "contains code")


def assert_refused(folder: Path, *words: str) -> None:
    with pytest.raises(UserError) as error:
        data.load("cifar10", folder)
    message = str(error.value)
    assert "\n" not in message
    assert ": " in message, "the way out comes after a colon"
    for word in words:
        assert word in message


def test_an_unknown_data_set_is_answered_with_a_near_one():
    with pytest.raises(UserError, match="did you mean 'cifar10'"):
        data.load("cifar100")


# --- a server ---------------------------------------------------------------------------------------------


def test_a_download_is_unpacked_once_and_kept(packed, home, folder):
    with serving(packed) as served:
        first = fetch(served, packed)
        second = fetch(served, packed)
    assert len(served.requests) == 1
    assert first.source == "download"
    assert first.fingerprint == second.fingerprint == data.load("cifar10", folder).fingerprint
    assert leftovers(home) == sorted(BATCHES)


def test_the_mirror_in_the_environment_variable_is_used(packed, monkeypatch):
    with serving(packed) as served:
        monkeypatch.setenv("HEADTOHEAD_CIFAR10_URL", served.url("mirror/c.tar.gz"))
        assert cifar10.load(None, False, known_hash=md5(packed)).source == "download"
    assert served.requests == ["/mirror/c.tar.gz"]


def test_a_mirror_has_to_have_the_published_file(packed, monkeypatch, home):
    with serving(packed) as served:
        monkeypatch.setenv("HEADTOHEAD_CIFAR10_URL", served.url(ARCHIVE))
        with pytest.raises(Unavailable, match="another checksum"):
            data.load("cifar10", progress=False)
    assert leftovers(home) == []


def test_a_slow_server_shows_progress_and_finishes(packed, capfd):
    padded = packed + bytes(1 << 20)
    with serving(padded, pieces=8, pause_s=0.15) as served:
        start = time.monotonic()
        assert len(fetch(served, padded, progress=True).train_images) == 15
        assert time.monotonic() - start > 1
    bar = capfd.readouterr().err
    assert "100%" in bar
    assert bar.count("%") > 3


def test_a_transfer_that_is_cut_off_is_not_used_and_the_next_try_works(packed, home):
    with serving(packed, cut_at=len(packed) // 2) as served:
        with pytest.raises(Unavailable) as error:
            fetch(served, packed)
        assert "interrupted the transfer" in str(error.value)
        assert leftovers(home) == []
        served.cut_at = None
        assert fetch(served, packed).source == "download"


def test_a_wrong_file_is_thrown_away(packed, home):
    with serving(packed[:-1] + b"x") as served, pytest.raises(Unavailable) as error:
        fetch(served, packed)
    assert "another checksum" in str(error.value)
    assert leftovers(home) == []


def test_an_http_error_is_reported(packed, home):
    with serving(b"gone", status=404) as served, pytest.raises(Unavailable, match="HTTP 404"):
        fetch(served, packed)
    assert leftovers(home) == []


def test_without_a_server_one_line_tells_where_to_put_the_files(home):
    start = time.monotonic()
    with pytest.raises(Unavailable) as error:
        cifar10.load(None, False, url=closed_port_url(ARCHIVE))
    message = str(error.value)
    assert "\n" not in message
    assert f"put {cifar10.FOLDER} into {home / 'datasets'}" in message
    assert "--data-dir" in message
    assert time.monotonic() - start < 5


def test_an_archive_writes_nothing_outside_its_folder(packed, home, tmp_path):
    evil = archive(
        (f"../../{cifar10.FOLDER}/data_batch_1", b"x"),
        (str(tmp_path / "absolute"), b"x"),
        ("../escaped", b"x"),
        (f"{cifar10.FOLDER}/more/data_batch_1", b"x"),
        (f"{cifar10.FOLDER}/surprise.py", b"x"),
        *((f"{cifar10.FOLDER}/{name}", python2_pickle(batch(i))) for i, name in enumerate(BATCHES)),
    )
    with serving(evil) as served:
        fetch(served, evil)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(BATCHES)


def test_an_archive_without_one_of_the_batches_leaves_nothing(home):
    poor = archive((f"{cifar10.FOLDER}/data_batch_1", python2_pickle(batch(0))))
    with serving(poor) as served, pytest.raises(Unavailable, match="has no data_batch_2"):
        fetch(served, poor)
    assert not (home / "datasets" / cifar10.FOLDER).exists()
