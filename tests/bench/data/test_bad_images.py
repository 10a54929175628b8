"""Images that cannot be used are refused in one line that says what to do, with status 2, before anything runs."""

from __future__ import annotations

import importlib.util
import pickle
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.bench.data.drawn_images import draw, encode, write_class_folders, write_parquet

PIXELS, LABELS = np.zeros((6, 8, 8, 3), np.uint8), np.arange(6) % 3
OTHER_OPTIONS = ("--task", "cifar10-resnet18", "--weights", "random")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> None:
    """An empty home."""
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))


@pytest.fixture
def refuse(command_line, tmp_path, monkeypatch) -> Callable[..., None]:
    """Runs a command with images, which is refused in one line."""
    monkeypatch.chdir(tmp_path)

    def run(path: Path, *words: str, options: tuple[str, ...] = OTHER_OPTIONS, command: str = "run") -> None:
        ended = command_line(command, "--images", path, *options)
        assert (ended.status, ended.out) == (2, "")
        assert ended.err.startswith("bench: ")
        assert ended.err.count("\n") == 1, ended.err
        assert ": " in ended.err.removeprefix("bench: "), "the way out comes after a colon"
        for word in words:
            assert word in ended.err
        assert not Path("results").exists()

    return run


def make_loose(root: Path) -> None:
    root.mkdir()
    draw(1).save(root / "one.png")


def make_case(root: Path) -> None:
    write_class_folders(root, {"Cat": 2, "cat": 2, "dog": 2})


def make_case_in_test(root: Path) -> None:
    write_class_folders(root / "train", {"cat": 2, "dog": 2})
    write_class_folders(root / "val", {"Cat": 2, "dog": 2})


def make_unknown_in_test(root: Path) -> None:
    write_class_folders(root / "train", {"cat": 2, "dog": 2})
    write_class_folders(root / "val", {"cow": 2, "dog": 2})


def make_empty_class(root: Path) -> None:
    write_class_folders(root, {"cat": 2, "dog": 2})
    (root / "bird").mkdir()
    (root / "bird" / "readme.txt").write_text("none yet")


def make_empty_split(root: Path) -> None:
    write_class_folders(root / "train", {"cat": 2, "dog": 2})
    (root / "val").mkdir()


def make_no_test(root: Path) -> None:
    write_class_folders(root / "train", {"cat": 2, "dog": 2})


def make_no_train(root: Path) -> None:
    write_class_folders(root / "val", {"cat": 2, "dog": 2})


def make_unreadable(root: Path) -> None:
    write_class_folders(root, {"cat": 2, "dog": 2})
    for file in (root / "dog").iterdir():
        file.write_bytes(b"")


def make_cifar10(root: Path) -> None:
    (root / "cifar-10-batches-py").mkdir(parents=True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, ("does not exist", "give a folder of class folders, an .npz file")),
        (lambda root: root.symlink_to("nowhere"), ("is a link to nowhere, which does not exist",)),
        (lambda root: root.mkdir(), ("is empty: give",)),
        (lambda root: (root / "a" / "b").mkdir(parents=True), ("has one class, a",)),
        (make_loose, ("has images and no class folders (one.png, …)", "put the images of each class into a folder")),
        (lambda root: write_class_folders(root, {"cat": 3}), ("has one class, cat: give images of two classes",)),
        (make_case, ("has the classes Cat and cat, which differ in case only: rename one",)),
        (make_case_in_test, ("has the classes Cat and cat, which differ in case only: rename one",)),
        (make_unknown_in_test, ("val has the class cow, and ", "train has not: add")),
        (make_empty_class, ("bird has no image (JPEG, PNG or WebP): add some, or remove the folder",)),
        (make_empty_split, ("val has no class folders",)),
        (make_no_test, ("has train, and no val or test: add one, or give ", "a split is drawn")),
        (make_no_train, ("has val, and no train: give the folder with both",)),
        (make_unreadable, ("has no training image of class dog that can be read: ", "dog/0", "(no image)")),
        (lambda root: write_class_folders(root, {"a": 1, "b": 1}), ("one image of each class, too few to draw",)),
        (make_cifar10, ("has CIFAR-10: give it with --data-dir",)),
        (lambda root: root.write_bytes(encode(draw(1))), ("is a PNG image: give a folder",)),
        (lambda root: root.write_text("a text"), ("is a text file: give a folder",)),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_line(refuse, tmp_path, make, words):
    make(tmp_path / "pets")
    refuse(tmp_path / "pets", *words)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"pixels": PIXELS}, ("has pixels: give it images and labels, or train_images",)),
        ({"images": PIXELS / 255, "labels": LABELS}, ("images are float64, not uint8",)),
        (
            {"images": PIXELS.transpose(0, 3, 1, 2), "labels": LABELS},
            ("shape (6, 3, 8, 8): give (n, height, width, 3)",),
        ),
        ({"images": PIXELS[0, 0], "labels": LABELS}, ("images have the shape (8, 3)",)),
        ({"images": PIXELS, "labels": LABELS / 1}, ("labels are float64, not integers",)),
        ({"images": PIXELS, "labels": np.eye(3, dtype=int)[LABELS]}, ("labels have the shape (6, 3)",)),
        ({"images": PIXELS, "labels": LABELS.astype(str)}, ("labels are <U21, not integers",)),
        ({"images": PIXELS, "labels": LABELS - 1}, ("the least of labels is -1: number the classes from 0",)),
        ({"images": PIXELS, "labels": LABELS * 2}, ("labels go to 4, but 1 has no image",)),
        ({"images": PIXELS, "labels": LABELS[:5]}, ("images has 6 images, and labels 5 labels",)),
        ({"images": PIXELS, "labels": LABELS * 0}, ("has one class, 0",)),
        ({"images": PIXELS[:0], "labels": LABELS[:0]}, ("has no class",)),
        (
            {"train_images": PIXELS, "train_labels": LABELS, "test_images": PIXELS, "test_labels": LABELS + 1},
            ("test_labels go to 3, and the training images' to 2 only: add training images of the others",),
        ),
        (
            {"train_images": PIXELS, "train_labels": LABELS, "test_images": PIXELS[:0], "test_labels": LABELS[:0]},
            ("has no test images",),
        ),
        ({"images": np.array([None]), "labels": LABELS}, ("has arrays of Python objects: save images as uint8",)),
        ({"images": PIXELS, "labels": LABELS.astype(object)}, ("has arrays of Python objects",)),
    ],
)
def test_an_npz_file_that_cannot_be_used_is_one_line(refuse, tmp_path, arrays, words):
    np.savez(tmp_path / "set.npz", **arrays)
    refuse(tmp_path / "set.npz", *words)


@pytest.mark.parametrize("kept", [0.3, 0.999])
def test_a_damaged_npz_file_is_one_line(refuse, tmp_path, kept):
    np.savez(tmp_path / "set.npz", images=PIXELS, labels=LABELS)
    content = (tmp_path / "set.npz").read_bytes()
    (tmp_path / "set.npz").write_bytes(content[: int(kept * len(content))])
    refuse(tmp_path / "set.npz", "cannot be read (", "replace it by a whole file")


def test_parquet_files_that_cannot_be_used_are_one_line(refuse, tmp_path):
    import pyarrow
    from pyarrow import parquet

    images = [encode(draw(number)) for number in range(4)]
    file = tmp_path / "set.parquet"
    write_parquet(file, images, [0, 1, 0, None])
    refuse(file, "1 images have no label: leave them out")
    parquet.write_table(pyarrow.table({"a": [1, 2], "b": [3, 4]}), file)
    refuse(file, "has no column that may be its images, of a (int64), b (int64)")
    parquet.write_table(pyarrow.table({"image": images, "a": [0, 1, 0, 1], "b": [0, 1, 0, 1]}), file)
    refuse(file, "has 2 columns that may be its labels")
    write_parquet(file, images, [0, 1, 0, 1])
    file.write_bytes(file.read_bytes()[:-20])
    refuse(file, "cannot be read (", "replace it by a whole file")
    for name in ("small", "large"):
        write_parquet(tmp_path / "sets" / name / "train-0.parquet", images, [0, 1, 0, 1])
    refuse(tmp_path / "sets", "has Parquet files in ", "large and in ", "give one of these folders")


def test_parquet_without_pyarrow_says_what_is_missing(refuse, tmp_path, monkeypatch):
    write_parquet(tmp_path / "set.parquet", [encode(draw(1))] * 4, [0, 1, 0, 1])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refuse(tmp_path / "set.parquet", "needs pyarrow, which is not installed: pip install 'head-to-head[parquet]'")
    assert importlib.util.find_spec("pyarrow.parquet")


def test_cifar100_that_cannot_be_used_is_one_line(refuse, tmp_path, runs_code):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    whole = pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"fine_labels": [0, 1]}, 2)
    (folder / "test").write_bytes(whole)
    for content, words in (
        (b"cut", "train cannot be read ("),
        (pickle.dumps(runs_code, 2), "train contains code ("),
        (pickle.dumps({b"data": 3}, 2), "train is not CIFAR-100's"),
        (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"fine_labels": [100]}, 2), "go to 100"),
        (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"fine_labels": [1, 2]}, 2), "1 images and 2 labels"),
        (whole, "has no training image of class 2 that can be read"),
    ):
        (folder / "train").write_bytes(content)
        refuse(folder, words)
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
        archive.add(folder / "test", "cifar-100-python/test")
    refuse(tmp_path / "set.tar.gz", "is an archive without CIFAR-100's Python version: give cifar-100-python.tar.gz")
    (tmp_path / "set.tar.gz").write_bytes((tmp_path / "set.tar.gz").read_bytes()[:-30])
    refuse(tmp_path / "set.tar.gz", "cannot be read (")


class RunsCode:
    """A pickle of it would make a file."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("witness"),)


@pytest.fixture
def runs_code() -> RunsCode:
    return RunsCode()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--data-dir", "."), "--images replaces the images of --data-dir: leave one of them out"),
        (("--batch-size", "9"), "--batch-size 9: the task has 8 training images: use a batch size of 8 or less"),
        (("--resize", "16"), "resize 16 is less than the crop, 32 px: use 32 or more"),
        (("--crop", "0"), "--crop 0: input should be greater than or equal to 1"),
        (("--crop", "100000000"), "--crop 100000000: input should be less than or equal to 10000"),
        (("--std", "0.5,0,0.5"), "--std 0.0: input should be greater than 0"),
        (
            ("--mean", "0.5,0.5"),
            "--mean: '0.5,0.5' is not a number for each channel: give three finite numbers",
        ),
        (("--mean", "nan"), "--mean: 'nan' is not a number for each channel"),
        (("--train-limit", "9"), "has 8 training images, not 9: use 8 or fewer"),
    ],
)
def test_options_that_do_not_fit_the_images_are_one_line(refuse, tmp_path, options, words):
    root = write_class_folders(tmp_path / "pets", {"cat": 5, "dog": 5})
    refuse(root, words, options=(*OTHER_OPTIONS, *options))


@pytest.mark.parametrize("command", ["parity", "tune", "roofline", "explain"])
def test_every_command_refuses_images_that_are_not_there(refuse, tmp_path, command):
    refuse(tmp_path / "nowhere", "does not exist", command=command)


def test_a_size_without_images_is_refused(command_line):
    ended = command_line("run", "--crop", "8", *OTHER_OPTIONS)
    assert (ended.status, ended.err) == (2, "bench: --crop 8: it is for --images: give them, or leave it out\n")


def test_equal_tasks_on_the_same_images_are_refused(refuse, tmp_path):
    root = write_class_folders(tmp_path / "pets", {"cat": 5, "dog": 5})
    (tmp_path / "own.toml").write_text(
        'description = "x"\nlaunches = 1\nrounds = 2\nround_seconds = 0.1\n'
        '[[entries]]\ntask = "cifar10-resnet18"\noverride = { weights = "random" }\n'
        '[[entries]]\ntask = "cifar10-resnet18"\noverride = { weights = "random", dataset = "digits" }\n'
    )
    refuse(root, "are the same task", options=("--suite", str(tmp_path / "own.toml")))


def test_a_sweep_of_data_sets_with_images_is_refused(command_line, tmp_path):
    root = write_class_folders(tmp_path / "pets", {"cat": 5, "dog": 5})
    ended = command_line("sweep", "--images", root, "--set", "dataset=digits,cifar10", "--task", "cifar10-resnet18")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "--images replaces the data set: leave out the values of dataset" in ended.err
