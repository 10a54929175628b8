"""Image files that stay undecoded: the same files as the decoded images, in the same order, mapped from one file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bench.data import images
from bench.data.image_file import FILE_NUMBERS, read_image_file
from bench.data.images import Framing, class_folders, kept_images
from bench.data.images.decoding import decode
from bench.data.subset import limit_training_images
from bench.data.undecoded_files import map_files
from bench.errors import UserError
from bench.measure.case_job import write_images
from tests.bench.data.drawn_images import draw, encode, write_class_folders, write_parquet

EIGHT = Framing(10, 8)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """An empty home."""
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def load(path: Path):
    return images.keep_files(images.load(path, EIGHT, 0), path, EIGHT, 0)


def assert_files_give_the_images(dataset, numbers=None) -> None:
    files = map_files(dataset.image_files, EIGHT.resize, EIGHT.crop, numbers)
    assert len(files) == len(dataset.train_images)
    assert (files.resize, files.crop) == (10, 8)
    for content, pixels in zip(files, dataset.train_images, strict=True):
        assert (decode(content, EIGHT).pixels == pixels).all()


def test_the_files_of_class_folders_are_kept_without_those_that_cannot_be_read(tmp_path, home):
    root = write_class_folders(tmp_path / "pets", {"cat": 10, "dog": 7}, endings=("jpg", "png", "webp"))
    whole = (root / "cat" / "03.jpg").read_bytes()
    (root / "cat" / "03.jpg").write_bytes(whole[: len(whole) // 3])
    dataset = load(root)
    assert len(dataset.train_images) == 13
    assert_files_give_the_images(dataset)
    assert load(root).image_files == dataset.image_files
    assert [file.name for file in (home / "images").glob("*.files")] == [dataset.image_files.name]


def test_a_pipe_and_a_link_to_nothing_are_named_and_not_opened(tmp_path):
    root = write_class_folders(tmp_path / "pets", {"cat": 3, "dog": 3})
    os.mkfifo(root / "cat" / "pipe.png")
    (root / "dog" / "gone.png").symlink_to(root / "nowhere.png")
    assert len(images.load(root, EIGHT, 0).train_images) == 4
    assert class_folders.read_folder(root).remarks == ["2 other files are not read: cat/pipe.png, dog/gone.png"]


@pytest.mark.parametrize("size", [0, 5, 100])
def test_a_file_that_was_cut_off_is_written_again(size, tmp_path, home):
    root = write_class_folders(tmp_path / "pets", {"cat": 10, "dog": 7})
    file = load(root).image_files
    whole = file.read_bytes()
    file.write_bytes(whole[:size])
    assert load(root).image_files == file
    assert file.read_bytes() == whole
    assert [one.name for one in (home / "images").iterdir() if one.name.startswith(".")] == []


def test_a_subset_has_its_own_files(tmp_path):
    root = write_class_folders(tmp_path / "pets", {"cat": 12, "dog": 9})
    subset = images.keep_files(limit_training_images(images.load(root, EIGHT, 0), 6, 3), root, EIGHT, 0)
    (tmp_path / "launch").mkdir()
    numbers = read_image_file(write_images(subset, tmp_path / "launch"))[FILE_NUMBERS]
    assert_files_give_the_images(subset, numbers)
    assert subset.fingerprint == limit_training_images(images.load(root, EIGHT, 0), 6, 3).fingerprint


def test_the_images_of_parquet_files_are_files_too(tmp_path):
    contents = [encode(draw(number), "JPEG") for number in range(10)]
    write_parquet(tmp_path / "data" / "train-00000-of-00001.parquet", contents, [number % 2 for number in range(10)])
    assert_files_give_the_images(load(tmp_path / "data"))


def test_arrays_have_no_files(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((10, 9, 9, 3), np.uint8), labels=np.arange(10) % 2)
    assert load(tmp_path / "x.npz").image_files is None


def test_files_that_changed_since_they_were_decoded_are_refused(tmp_path, monkeypatch):
    root = write_class_folders(tmp_path / "pets", {"cat": 10, "dog": 7})
    dataset = images.load(root, EIGHT, 0)
    key = kept_images.make_key(images.open_source(root), EIGHT, 0)
    (root / "cat" / "03.png").write_bytes(b"no image")
    monkeypatch.setattr(kept_images, "make_key", lambda *_: key)  # within one tick of the clock, at the same size
    with pytest.raises(UserError, match="files changed while they were read: start again"):
        images.keep_files(dataset, root, EIGHT, 0)


def test_a_file_that_there_is_not_is_no_file(tmp_path):
    files = map_files(load(write_class_folders(tmp_path / "pets", {"cat": 4, "dog": 4})).image_files, 10, 8)
    assert list(files) == [files[index] for index in range(len(files))]
    for index in (-1, len(files)):
        with pytest.raises(IndexError, match=f"file {index} of 6"):
            files[index]
