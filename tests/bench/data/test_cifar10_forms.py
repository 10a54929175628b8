"""CIFAR-10 as people have it on disk: nested, packed, binary, written again; and what is refused for what it is."""

from __future__ import annotations

import gzip
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench import data
from bench.data import cifar10
from bench.errors import UserError
from tests.bench.data.batches import (
    BATCHES,
    RunsCode,
    archive,
    batch,
    binary_archive,
    binary_batch,
    published_archive,
    python2_pickle,
    write_folder,
)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> str:
    return data.load("cifar10", write_folder(tmp_path_factory.mktemp("published") / cifar10.FOLDER)).fingerprint


def write_binary(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(BATCHES):
        (folder / f"{name}.bin").write_bytes(binary_batch(number))


def write_linked(folder: Path) -> None:
    real = write_folder(folder.parent / "elsewhere" / "x" / "y" / "z" / "batches")
    folder.mkdir()
    for name in BATCHES:
        (folder / name).symlink_to(real / name)


def write_half_unpacked(folder: Path) -> None:
    write_folder(folder / cifar10.FOLDER)
    (folder / cifar10.FOLDER / "test_batch").unlink()
    (folder / "cifar-10-python.tar.gz").write_bytes(published_archive())


#: How each form is written below a folder, and the path that is given.
FORMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "the folder above": (lambda at: write_folder(at / "x" / cifar10.FOLDER), "x"),
    "another folder's name": (lambda at: write_folder(at / "x" / "mine"), "x"),
    "Keras's datasets": (lambda at: write_folder(at / "x" / f"{cifar10.FOLDER}-target" / cifar10.FOLDER), "x"),
    "Keras's home": (lambda at: write_folder(at / "x/datasets" / f"{cifar10.FOLDER}-target" / cifar10.FOLDER), "x"),
    "an archive": (
        lambda at: (at / "cifar-10-python.tar.gz").write_bytes(published_archive()),
        "cifar-10-python.tar.gz",
    ),
    "an archive's folder": (lambda at: (at / "cifar-10-python.tar.gz").write_bytes(published_archive()), "."),
    "an archive of another name": (lambda at: (at / "images").write_bytes(published_archive()), "images"),
    "an archive without a folder": (
        lambda at: (at / "x.tar").write_bytes(
            archive(*((f"./{name}", python2_pickle(batch(i))) for i, name in enumerate(BATCHES)), mode="w")
        ),
        "x.tar",
    ),
    "the binary version": (lambda at: write_binary(at / "cifar-10-batches-bin"), "cifar-10-batches-bin"),
    "the binary version's parent": (lambda at: write_binary(at / "x" / "cifar-10-batches-bin"), "x"),
    "the binary archive": (lambda at: (at / "b.tgz").write_bytes(binary_archive()), "b.tgz"),
    "links": (lambda at: write_linked(at / "x"), "x"),
    "half unpacked beside its archive": (lambda at: write_half_unpacked(at / "x"), "x"),
    "both versions": (
        lambda at: (write_folder(at / cifar10.FOLDER), (at / "cifar-10-batches-bin").mkdir()),
        ".",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_same_images(form, tmp_path, published):
    write, given = FORMS[form]
    write(tmp_path)
    loaded = data.load("cifar10", tmp_path / given)
    assert loaded.fingerprint == published
    assert (
        loaded.source
        == f"{'archive' if 'archive' in form else 'folder'} {data.find_location('cifar10', tmp_path / given)}"
    )


def write_again(folder: Path, protocol: int, **changes: Callable) -> Path:
    folder.mkdir()
    for number, name in enumerate(BATCHES):
        content = {key: changes.get(key.decode(), lambda value: value)(value) for key, value in batch(number).items()}
        content |= {b"batch_label": b"", b"filenames": [b"a.png"] * 3}
        key = changes.get("keys", lambda key: key)
        (folder / name).write_bytes(pickle.dumps({key(name): value for name, value in content.items()}, protocol))
    return folder


REWRITTEN: dict[str, dict[str, Callable]] = {
    "as they are": {},
    "NumPy's integers": {"labels": lambda labels: [np.int64(label) for label in labels]},
    "small integers of NumPy": {"labels": lambda labels: [np.uint8(label) for label in labels]},
    "an array of labels": {"labels": np.array},
    "a column of labels": {"labels": lambda labels: np.array(labels)[:, None]},
    "a tuple of labels": {"labels": tuple},
    "text keys": {"keys": bytes.decode},
    "Fortran's order": {"data": np.asfortranarray},
    "a view of other images": {"data": lambda rows: np.repeat(rows, 2, axis=0)[::2]},
    "read-only images": {"data": lambda rows: np.frombuffer(rows.tobytes(), np.uint8).reshape(rows.shape)},
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_batches_that_were_written_again_are_read(protocol, tmp_path, published):
    for number, changes in enumerate(REWRITTEN.values()):
        folder = write_again(tmp_path / str(number), protocol, **changes)
        assert data.load("cifar10", folder).fingerprint == published, list(REWRITTEN)[number]


def test_newer_protocols_run_no_code_either(tmp_path):
    witness = tmp_path / "witness"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        folder = write_folder(tmp_path / str(protocol))
        content = pickle.dumps({b"data": RunsCode(witness)}, protocol)
        (folder / "data_batch_1").write_bytes(content)
        with pytest.raises(UserError, match=r"contains code \(posix.system\)"):
            data.load("cifar10", folder)
    assert not witness.exists()
    pickle.loads(content)
    assert witness.exists(), "the pickle would have run nothing anyway"


def write_hundred(folder: Path) -> None:
    folder.mkdir(parents=True)
    fine = batch(0) | {b"fine_labels": [1, 2, 3], b"coarse_labels": [1, 2, 3]}
    del fine[b"labels"]
    for name in ("train", "test"):
        (folder / name).write_bytes(python2_pickle(fine))


def write_file(path: Path, content: bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_damaged(folder: Path, name: str, content: bytes | None) -> None:
    (write_binary if name.endswith(".bin") else write_folder)(folder)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)


PNG = b"\x89PNG\r\n\x1a\n"
#: How each thing is written below a folder, the path that is given, and words of the one line about it.
OTHERS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "nothing": (lambda at: None, "x", "x does not exist"),
    "a broken link": (lambda at: (at / "x").symlink_to("gone"), "x", "x is a link to gone, which does not exist"),
    "an empty folder": (lambda at: (at / "x").mkdir(), "x", "x is empty"),
    "a pipe": (lambda at: os.mkfifo(at / "x"), "x", "x is neither a file nor a folder"),
    "CIFAR-100": (lambda at: write_hundred(at / "cifar-100-python"), "cifar-100-python", "has CIFAR-100, not CIFAR-10"),
    "CIFAR-100 renamed": (lambda at: write_hundred(at / "x" / "y"), "x", "has CIFAR-100, not CIFAR-10"),
    "a file of CIFAR-100": (lambda at: write_hundred(at / "x"), "x/train", "x/train is CIFAR-100, not CIFAR-10"),
    "CIFAR-100 packed": (
        lambda at: write_file(at / "x.tar.gz", archive(("cifar-100-python/train", b"x"))),
        "x.tar.gz",
        "is CIFAR-100, not CIFAR-10",
    ),
    "CIFAR-100 binary": (lambda at: write_file(at / "x/cifar-100-binary/train.bin"), "x", "has CIFAR-100"),
    "PNG images": (lambda at: write_file(at / "x/train/cat/1.png", PNG), "x", "has PNG images (train/cat/1.png), not"),
    "one image": (lambda at: write_file(at / "1.png", PNG), "1.png", "is a PNG image, not CIFAR-10"),
    "Parquet": (lambda at: write_file(at / "x/plain_text/train.parquet"), "x", "has Parquet files (plain_text/train"),
    "one Parquet file": (lambda at: write_file(at / "x", b"PAR1"), "x", "is a Parquet file, not CIFAR-10"),
    "TFRecords": (lambda at: write_file(at / "x/3.0.2/c.tfrecord-00000-of-00001"), "x", "has TFRecord files (3.0.2/"),
    "something else": (lambda at: write_file(at / "x/readme"), "x", "does not have CIFAR-10's batches"),
    "one batch": (
        lambda at: write_folder(at / "x"),
        "x/data_batch_2",
        "is one of CIFAR-10's six batches: give the folder",
    ),
    "a zip archive": (lambda at: write_file(at / "x.zip", b"PK\x03\x04"), "x.zip", "is a zip archive, not CIFAR-10"),
    "gzip without tar": (
        lambda at: write_file(at / "x.tar.gz", gzip.compress(b"hello" * 500)),
        "x.tar.gz",
        "is a gzip file that is damaged or has no tar archive in it",
    ),
    "a truncated archive": (
        lambda at: write_file(at / "x.tar.gz", published_archive()[:30_000]),
        "x.tar.gz",
        "is truncated: replace it",
    ),
    "an archive of something else": (
        lambda at: write_file(at / "x.tar", archive(("a", b"x"), mode="w")),
        "x.tar",
        "is an archive without CIFAR-10's batches",
    ),
    "an archive that lacks one": (
        lambda at: write_file(at / "x.tar", archive((f"y/{BATCHES[0]}", b"x"), mode="w")),
        "x.tar",
        "x.tar: data_batch_2 is missing",
    ),
    "a page in its place": (lambda at: write_file(at / "x.tar.gz", b"<!DOCTYPE html>"), "x.tar.gz", "is a web page"),
    "a pointer in a batch's place": (
        lambda at: write_damaged(at / "x", "data_batch_3", b"version https://git-lfs.github.com/spec/v1\n"),
        "x",
        "data_batch_3 is a Git LFS pointer",
    ),
    "an empty batch": (lambda at: write_damaged(at / "x", "test_batch", b""), "x", "test_batch is empty"),
    "a missing binary batch": (
        lambda at: write_damaged(at / "x", "test_batch.bin", None),
        "x",
        "test_batch.bin is missing: give a folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin",
    ),
    "a binary batch of another length": (
        lambda at: write_damaged(at / "x", "data_batch_2.bin", binary_batch(1)[:-1]),
        "x",
        "data_batch_2.bin has 9,218 bytes, which is no multiple of an image's 3,073",
    ),
    "a binary batch with another label": (
        lambda at: write_damaged(at / "x", "data_batch_2.bin", b"\x0a" + bytes(3072)),
        "x",
        "has the label",
    ),
    "two of a name": (
        lambda at: (write_folder(at / "x/a" / cifar10.FOLDER), write_folder(at / "x/b" / cifar10.FOLDER)),
        "x",
        "has CIFAR-10 2 times, in a/cifar-10-batches-py and b/cifar-10-batches-py: give one of these folders",
    ),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_not_cifar10_is_named_for_what_it_is(what, tmp_path):
    write, given, words = OTHERS[what]
    write(tmp_path)
    with pytest.raises(UserError) as error:
        data.load("cifar10", tmp_path / given)
    message = str(error.value)
    assert "\n" not in message
    assert words in message
    assert str(tmp_path) in message
    assert ": give " in message or ": replace it by " in message


def test_what_may_not_be_read_is_named(tmp_path):
    folder = write_folder(tmp_path / "x")
    (folder / "test_batch").chmod(0)
    if os.access(folder / "test_batch", os.R_OK):
        pytest.skip("this user reads everything")
    with pytest.raises(UserError, match=r"x/test_batch cannot be read \(Permission denied\)"):
        data.load("cifar10", folder)
    folder.chmod(0)
    with pytest.raises(UserError, match=r"x cannot be read \(Permission denied\)"):
        data.load("cifar10", folder)
    folder.chmod(0o700)


# --- the caches of other programs --------------------------------------------------------------------------


@pytest.fixture
def empty_machine(tmp_path, monkeypatch) -> Path:
    """A folder in which nothing is cached; it is the current one."""
    for variable, name in {
        "HEADTOHEAD_HOME": "home",
        "KERAS_HOME": "keras",
        "HF_HOME": "hf",
        "TFDS_DATA_DIR": "tfds",
    }.items():
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


CACHES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "Keras 3": ("Keras's cache", write_folder, f"keras/datasets/{cifar10.FOLDER}-target/{cifar10.FOLDER}"),
    "Keras 2": ("Keras's cache", write_folder, f"keras/datasets/{cifar10.FOLDER}"),
    "Keras's archive": (
        "Keras's cache",
        lambda path: write_file(path, published_archive()),
        f"keras/datasets/{cifar10.FOLDER}-target_archive",
    ),
    "torchvision": ("torchvision's data folder", write_folder, f"data/{cifar10.FOLDER}"),
    "torchvision's archive": (
        "torchvision's data folder",
        lambda path: write_file(path, published_archive()),
        "data/cifar-10-python.tar.gz",
    ),
    "datasets": (
        "Hugging Face's cache",
        lambda path: (
            write_file(path, published_archive()),
            write_file(path.with_suffix(".json"), b'{"url": "https://x.y/~kriz/cifar-10-python.tar.gz", "etag": null}'),
            write_file(path.with_name("other"), b"x"),
            write_file(path.with_name("other.json"), b'{"url": "https://x.y/other.tar.gz"}'),
            write_file(path.with_name("damaged.json"), b"{"),
        ),
        "hf/datasets/downloads/0123abcd",
    ),
    "datasets, unpacked": (
        "Hugging Face's cache",
        write_folder,
        f"hf/datasets/downloads/extracted/01/{cifar10.FOLDER}",
    ),
    "TensorFlow Datasets": (
        "TensorFlow Datasets' cache",
        lambda path: write_file(path, binary_archive()),
        "tfds/downloads/cifar10/cs.toronto.edu_kriz_cifar-10-binaryODHP.tar.gz",
    ),
}


@pytest.mark.parametrize("cache", CACHES)
def test_a_cache_of_another_program_is_used_and_named(cache, empty_machine, published, monkeypatch):
    monkeypatch.setattr(cifar10.download, "download", lambda *_: pytest.fail("it was downloaded"))
    name, write, place = CACHES[cache]
    # An incomplete one is passed over.
    write_folder(empty_machine / "keras" / "datasets" / f"{cifar10.FOLDER}-target" / cifar10.FOLDER)
    (empty_machine / "keras" / "datasets" / f"{cifar10.FOLDER}-target" / cifar10.FOLDER / "test_batch").unlink()
    if place.startswith("keras"):
        shutil.rmtree(empty_machine / "keras")
    write(empty_machine / place)
    loaded = data.load("cifar10", progress=False)
    assert loaded.fingerprint == published
    assert loaded.source.startswith(name)
    assert loaded.source.endswith(f"{empty_machine / place}, 15 training images of 50,000")
    assert data.find_location("cifar10") == f"{empty_machine / place} ({name})"


def test_the_home_comes_before_the_caches(empty_machine):
    write_folder(empty_machine / "data" / cifar10.FOLDER)
    own = write_folder(empty_machine / "home" / "datasets" / cifar10.FOLDER)
    assert data.find_location("cifar10") == str(own)
    assert data.load("cifar10").source == f"folder {own}"


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "cifar-10-binary.tar.gz", "cifar-10-batches-bin"])
def test_what_the_user_has_put_into_the_home_is_read_and_stays(name, empty_machine, published):
    # It has another checksum than the published archive, which a download would replace.
    own = empty_machine / "home" / "datasets" / name
    if name.endswith("gz"):
        write_file(own, published_archive() if "python" in name else binary_archive())
    else:
        write_binary(own)
    loaded = data.load("cifar10", progress=False)
    assert loaded.fingerprint == published
    assert loaded.source.endswith(str(own))
    assert data.find_location("cifar10") == str(own)
    assert own.exists()


def test_a_cache_in_a_format_that_is_not_read_is_named(empty_machine, command_line, monkeypatch):
    file = empty_machine / "hf/hub/datasets--uoft-cs--cifar10/snapshots/0b2714/plain_text/train-00000-of-00001.parquet"
    write_file(file, b"PAR1")
    monkeypatch.setenv("COLUMNS", "1000")
    row = next(line for line in command_line("doctor").out.splitlines() if "data cifar10" in line)
    assert f"Hugging Face's cache has it as Parquet in {file.parent}, which is not read" in row
    assert "or put cifar-10-batches-py or cifar-10-python.tar.gz there, or give one of them with --data-dir" in row
