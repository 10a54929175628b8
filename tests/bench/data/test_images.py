"""The user's own images: every kind of file gives the pixels and labels that are in it, once decoded and kept."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from backends.task import Task
from backends.task_entries import DATASETS
from bench import data
from bench.data import images, order
from bench.data import subset as subset_module
from bench.data.images import Framing, kept_images, source
from bench.data.subset import limit_test_images, limit_training_images
from bench.errors import UserError
from bench.measure.case_job import write_images
from bench.weights import random_weights
from tests.bench.data.drawn_images import draw, encode, write_class_folders, write_parquet

EIGHT = Framing(8, 8)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """An empty home, and no line that was said before."""
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    images._say_once.cache_clear()
    return tmp_path / "home"


def frame(image: Image.Image, framing: Framing = EIGHT) -> np.ndarray:
    return framing.apply(image.convert("RGB"))


def test_class_folders_with_train_and_val_are_taken_as_they_are(tmp_path):
    write_class_folders(tmp_path / "train", {"b": 3, "a": 4, "c d": 2})
    write_class_folders(tmp_path / "val", {"a": 1, "b": 1, "c d": 1})
    found = images.load(tmp_path, EIGHT, seed=0)
    assert found.train_labels.tolist() == [0] * 4 + [1] * 3 + [2] * 2
    assert found.test_labels.tolist() == [0, 1, 2]
    files = [
        tmp_path / "train" / name / f"{n:02}.png"
        for name, count in (("a", 4), ("b", 3), ("c d", 2))
        for n in range(count)
    ]
    assert (found.train_images == np.stack([frame(Image.open(file)) for file in files])).all()
    assert found.train_images.dtype == np.uint8
    assert found.name == f"images-{found.fingerprint[:12]}-8px-3"
    assert found.source == f"class folders below train and val in {str(tmp_path)!r}"


def test_jpeg_png_and_webp_are_read_at_any_depth_whatever_their_case(tmp_path):
    root = write_class_folders(tmp_path / "pets", {"cat": 6, "dog": 6}, endings=("jpg", "png", "webp"))
    (root / "cat" / "00.jpg").rename(root / "cat" / "00.JPEG")
    (root / "dog" / "more").mkdir()
    (root / "dog" / "05.webp").rename(root / "dog" / "more" / "0.WebP")
    found = images.load(root, EIGHT, seed=0)
    assert (len(found.train_images), len(found.test_images)) == (10, 2)


def test_a_split_is_drawn_from_the_seed_with_every_class_in_both_parts(tmp_path):
    root = write_class_folders(tmp_path / "pets", {"cat": 10, "dog": 3, "one": 1})
    first, again, other = (images.load(root, EIGHT, seed=seed) for seed in (0, 0, 1))
    assert np.bincount(first.test_labels).tolist() == [2, 1]
    assert np.bincount(first.train_labels).tolist() == [8, 2, 1]
    assert first.fingerprint == again.fingerprint != other.fingerprint
    together = np.concatenate([first.train_images, first.test_images])
    assert len(np.unique(together, axis=0)) == 14
    assert first.source.endswith("split drawn from seed 0")


def test_valid_and_test_count_as_test_images_and_val_first(tmp_path):
    for part in ("train", "test", "val"):
        write_class_folders(tmp_path / part, {"a": 2, "b": 2 if part == "test" else 1})
    assert len(images.load(tmp_path, EIGHT, seed=0).test_images) == 3
    (tmp_path / "val").rename(tmp_path / "unlabelled")
    assert len(images.load(tmp_path, EIGHT, seed=0).test_images) == 4


def test_labels_are_those_of_the_training_folders_where_a_class_has_no_test_images(tmp_path):
    write_class_folders(tmp_path / "train", {"a": 2, "b": 2, "c": 2})
    write_class_folders(tmp_path / "test", {"c": 2, "b": 1})
    assert images.load(tmp_path, EIGHT, seed=0).test_labels.tolist() == [1, 2, 2]


def test_an_image_that_is_left_out_takes_its_label_along(tmp_path):
    write_class_folders(tmp_path / "train", {"a": 3, "b": 3})
    write_class_folders(tmp_path / "val", {"a": 1, "b": 1})
    (tmp_path / "train" / "a" / "01.png").write_bytes(b"")
    found = images.load(tmp_path, EIGHT, seed=0)
    assert found.train_labels.tolist() == [0, 0, 1, 1, 1]
    assert (found.train_images[1] == frame(draw(2))).all()


@pytest.mark.parametrize(
    ("names", "shape"),
    [
        (("images", "labels"), (5, 6, 3)),
        (("train_images", "train_labels", "test_images", "test_labels"), (5, 6, 3)),
        (("x_train", "y_train", "x_test", "y_test"), (5, 6, 1)),
        (("train_images", "train_labels", "val_images", "val_labels"), (5, 6)),
        (("images", "labels"), (8, 8, 4)),
    ],
)
def test_an_npz_file_is_read_by_the_names_of_its_arrays(tmp_path, names, shape):
    pixels = np.random.default_rng(0).integers(0, 256, (10, *shape), dtype=np.uint8)
    labels = (np.arange(10) % 2).astype(np.uint8)[:, None]
    np.savez(tmp_path / "a.npz", **dict(zip(names, (pixels, labels, pixels[:4], labels[:4]), strict=False)))
    found = images.load(tmp_path / "a.npz", EIGHT, seed=0)
    assert len(found.test_images) == (4 if len(names) == 4 else 2)
    first = found.test_images[0] if len(names) == 4 else None
    colours = np.repeat(pixels[0].reshape(5, 6, 1), 3, 2) if shape in ((5, 6), (5, 6, 1)) else pixels[0][..., :3]
    assert first is None or (first == frame(Image.fromarray(colours))).all()
    assert sorted(found.train_labels.tolist() + found.test_labels.tolist())[:1] == [0]


def test_images_of_the_right_size_stay_as_they_are(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    np.savez(
        tmp_path / "a.npz", train_images=pixels, train_labels=[0, 1, 1, 0], test_images=pixels, test_labels=[0] * 4
    )
    assert (images.load(tmp_path / "a.npz", EIGHT, seed=0).train_images == pixels).all()


@pytest.mark.parametrize("layout", ["files", "folders", "one"])
def test_parquet_files_of_hugging_face_are_read(tmp_path, layout):
    drawn = [encode(draw(number), "JPEG" if number % 2 else "PNG") for number in range(8)]
    names = {
        "files": ("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-0.parquet"),
        "folders": ("train/0.parquet", "train/1.parquet", "validation/0.parquet"),
        "one": ("0.parquet",),
    }[layout]
    if layout == "one":
        write_parquet(tmp_path / "set" / names[0], drawn, [0, 1] * 4)
        found = images.load(tmp_path / "set" / "0.parquet", EIGHT, seed=0)
        assert (len(found.train_images), len(found.test_images)) == (6, 2)
        return
    for name, at in zip(names, (0, 4, 6), strict=True):
        write_parquet(tmp_path / "set" / name, drawn[at : at + 4], [at // 4, 1, 1, 0][: len(drawn[at : at + 4])], "ab")
    found = images.load(tmp_path / "set", EIGHT, seed=0)
    assert found.train_labels.tolist() == [0, 1, 1, 0, 1, 1, 1, 0]
    assert found.test_labels.tolist() == [1, 1]
    expected = [frame(Image.open(io.BytesIO(one))) for one in drawn]
    assert (found.train_images == np.stack(expected)).all()
    assert (found.test_images == np.stack(expected[6:])).all()
    assert images.open_source(tmp_path / "set").classes == ["a", "b"]


def write_cifar100(folder: Path) -> Path:
    stream = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for file in ("train", "test"):
        content = {b"data": stream.integers(0, 256, (200, 3072), dtype=np.uint8), b"fine_labels": [*range(100)] * 2}
        (folder / file).write_bytes(pickle.dumps(content, 2))
    (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": [f"name {n}".encode() for n in range(100)]}, 2))
    return folder


@pytest.mark.parametrize("form", ["folder", "above", "file", "archive"])
def test_cifar100_is_read_from_its_folder_or_its_archive(tmp_path, form):
    folder = write_cifar100(tmp_path / "cifar-100-python")
    with tarfile.open(tmp_path / "cifar-100-python.tar.gz", "w:gz") as archive:
        archive.add(folder, "cifar-100-python")
    path = {
        "folder": folder,
        "above": tmp_path,
        "file": folder / "train",
        "archive": tmp_path / "cifar-100-python.tar.gz",
    }[form]
    found = images.load(path, Framing(32, 32), seed=0)
    assert found.name.endswith("-32px-100")
    assert found.train_labels.tolist() == [*range(100)] * 2
    first = pickle.loads((folder / "train").read_bytes())[b"data"][0].reshape(3, 32, 32)
    assert (found.train_images[0] == first.transpose(1, 2, 0)).all()
    assert images.open_source(path).classes[7] == "name 7"


def test_images_are_decoded_once_and_then_mapped(tmp_path, monkeypatch):
    root = write_class_folders(tmp_path / "pets", {"cat": 5, "dog": 5})
    first = images.load(root, EIGHT, seed=0)
    monkeypatch.setattr(kept_images, "decode", lambda *_, **__: pytest.fail("decoded again"))
    again = images.load(root, EIGHT, seed=0)
    assert again.fingerprint == first.fingerprint
    assert not again.train_images.flags.owndata
    assert not again.train_images.flags.writeable, "it is the file"
    kept = load_file(again.file)
    assert all((kept[name] == getattr(again, name)).all() for name in kept)
    assert write_images(again, tmp_path).samefile(again.file), "workers read the kept file itself"


@pytest.mark.parametrize("change", ["time", "content", "new file", "size", "crop", "removed", "cut short"])
def test_other_files_or_sizes_are_decoded_again(tmp_path, change, monkeypatch):
    root = write_class_folders(tmp_path / "pets", {"cat": 5, "dog": 5})
    first = images.load(root, EIGHT, seed=0)
    file, framing = root / "cat" / "01.png", EIGHT
    if change == "time":
        os.utime(file, (1, 1))
    elif change == "content":
        draw(77).save(file)
    elif change == "new file":
        draw(77).save(root / "cat" / "new.png")
    elif change == "removed":
        first.file.unlink()
    elif change == "cut short":
        with first.file.open("r+b") as content:
            content.truncate(first.file.stat().st_size - 1)
    else:
        framing = Framing(9, 9) if change == "size" else Framing(9, 8)
    decoded = []
    monkeypatch.setattr(
        kept_images,
        "decode",
        lambda *given, decode=kept_images.decode, **named: decoded.append(1) or decode(*given, **named),
    )
    other = images.load(root, framing, seed=0)
    assert len(decoded) >= 10
    assert (other.name == first.name) == (change in ("time", "removed", "cut short")), "the name follows the pixels"


def test_a_fingerprint_that_was_kept_is_that_of_the_pixels(tmp_path):
    found = images.load(write_class_folders(tmp_path / "pets", {"cat": 5, "dog": 5}), EIGHT, seed=0)
    again = data.Dataset(found.name, found.train_images, found.train_labels, found.test_images, found.test_labels, "")
    assert again.fingerprint == found.fingerprint


def test_a_subset_is_no_longer_the_kept_file(tmp_path):
    found = images.load(write_class_folders(tmp_path / "pets", {"cat": 5, "dog": 5}), EIGHT, seed=0)
    write_images(found, tmp_path)
    few = limit_test_images(limit_training_images(found, 3, seed=0), 1, seed=0)
    assert few.fingerprint != found.fingerprint
    written = load_file(write_images(few, tmp_path))
    assert len(written["train_images"]) == 3
    assert len(written["test_images"]) == 1
    assert limit_training_images(found, 3, seed=0).file is None
    assert limit_test_images(found, 1, seed=0).file is None
    assert len(load_file(found.file)["train_images"]) == len(found.train_images), "the kept file stays as it is"


def test_a_name_says_what_a_task_needs_without_the_images():
    entry = DATASETS["images-0123456789ab-224px-37"]
    assert (entry.side, entry.classes) == (224, 37)
    task = Task(name="x", backbone="resnet18", weights="random", dataset="images-0123456789ab-224px-37", image_size=224)
    assert Task.model_validate_json(task.model_dump_json()).classes == 37
    assert list(DATASETS) == [name for name in DATASETS if not name.startswith("images-")]
    for wrong in ("images-0123456789ab-224px-", "images-0123456789ab-0px-3", "images-xx-224px-3", 3):
        assert wrong not in DATASETS
    with pytest.raises(UserError, match="give them with --images"):
        data.load("images-0123456789ab-224px-37")


def test_the_new_fields_are_not_written_where_they_say_nothing():
    task = Task(name="x", backbone="resnet18", weights="random", dataset="cifar10", image_size=64)
    assert not {"resize", "crop"} & task.model_dump().keys()
    assert task.framing == (64, 64)
    assert task.model_copy(update={"crop": 48}).framing == (48, 48)
    assert task.model_copy(update={"crop": 48}).hash != task.hash
    with pytest.raises(ValueError, match=r"resize 32 is less than the crop, 64 px: use 64 or more"):
        Task.model_validate({**task.model_dump(), "resize": 32})


def test_two_processes_decode_once_and_what_is_abandoned_is_freed(tmp_path, home):
    root = write_class_folders(tmp_path / "pets", {"cat": 5, "dog": 5})
    (home / "images").mkdir(parents=True)
    abandoned = home / "images" / "0123.part"
    abandoned.write_bytes(b"x" * 1000)
    images.load(root, EIGHT, seed=0)
    assert abandoned.stat().st_size == 0
    assert len(list((home / "images").glob("*.safetensors"))) == 1


def test_no_other_draw_has_the_splits_stream_of_numbers():
    others = [subset_module.TRAIN_STREAM, subset_module.TEST_STREAM, order.ORDER_STREAM, order.HEAD_STREAM]
    assert source.SPLIT_STREAM not in (*others, random_weights.STREAM)
