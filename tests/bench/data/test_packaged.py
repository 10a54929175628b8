"""A package's data set is taken as its entry says, or refused in a line that says what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from backends import task_entries
from backends.task_entries import DATASETS, DatasetEntry, TaskEntries
from bench import data
from bench.errors import UserError

IMAGES, LABELS = np.zeros((6, 4, 4, 3), np.uint8), np.arange(6) % 3
RETURNED: list[object] = []


def make() -> object:
    if isinstance(RETURNED[0], BaseException):
        raise RETURNED[0]
    return RETURNED[0]


@pytest.fixture
def load(monkeypatch):
    """Loads a data set of 4 x 4 px and three classes whose function returns something."""

    def run(returned: object, **fields: object):
        RETURNED[:] = [returned]
        entry = DatasetEntry(**{"side": 4, "classes": 3, "load": f"{__name__}:make", **fields})
        entries = TaskEntries(datasets={"dots": entry})
        monkeypatch.setattr(task_entries, "find_packages", lambda: ((("our-tasks", entries),), {}))
        monkeypatch.setattr(DATASETS, "_found", None)
        monkeypatch.setattr(DATASETS, "_distributions", {})
        return data.load("dots")

    return run


def test_arrays_that_are_right_become_a_data_set(load):
    loaded = load((IMAGES, LABELS.astype(np.uint8), IMAGES[:2], LABELS[:2]))
    assert loaded.source == "comes with our-tasks"
    assert loaded.train_labels.dtype == np.int64
    assert load([IMAGES, LABELS, IMAGES[:2], LABELS[:2]], fingerprint=loaded.fingerprint).name == "dots"


@pytest.mark.parametrize(
    ("returned", "line"),
    [
        ((IMAGES, LABELS), "returned 2 values, and not training images, training labels, test images, test labels"),
        (SystemExit(3), "raised SystemExit: 3"),
        (None, "TypeError: 'NoneType' object is not iterable"),
        (ValueError("no such\nfolder"), "no such"),
        (FileNotFoundError(2, "No such file"), "FileNotFoundError"),
        ((IMAGES.tolist(), LABELS, IMAGES, LABELS), "training images as list, not as a NumPy array"),
        ((IMAGES / 255, LABELS, IMAGES, LABELS), "training images as float64, not as uint8"),
        ((IMAGES[..., 0], LABELS, IMAGES, LABELS), r"training images of shape \(6, 4, 4\), not \(n, 4, 4, 3\)"),
        ((IMAGES, LABELS, IMAGES[:, :3], LABELS), r"test images of shape \(6, 3, 4, 3\), not \(n, 4, 4, 3\)"),
        ((IMAGES, LABELS[:5], IMAGES, LABELS), r"training labels of shape \(5,\) for 6 images"),
        ((IMAGES, np.eye(3)[LABELS], IMAGES, LABELS), "training labels as float64, not as integers"),
        ((IMAGES, LABELS + 1, IMAGES, LABELS), "training labels from 1 to 3, not from 0 to 2"),
        ((IMAGES, LABELS, IMAGES, LABELS - 1), "test labels from -1 to 1, not from 0 to 2"),
        ((IMAGES, LABELS, IMAGES[:0], LABELS[:0]), "returned no test images"),
    ],
)
def test_arrays_that_are_wrong_are_refused_in_one_line(load, returned, line):
    with pytest.raises(UserError, match=f"^data set dots: .*{line}.*: correct or update our-tasks$") as refused:
        load(returned)
    assert "\n" not in str(refused.value)


def test_other_images_than_the_entrys_are_refused(load):
    with pytest.raises(UserError, match=r"its images have the fingerprint [0-9a-f]{16}, not 0123456789abcdef: correct"):
        load((IMAGES, LABELS, IMAGES, LABELS), fingerprint="0123456789abcdef")


def test_a_function_that_is_not_there_is_named(load):
    with pytest.raises(UserError, match=r"data set dots: nothing_here:make cannot be imported: ModuleNotFoundError"):
        load((), load="nothing_here:make")


def test_a_module_that_exits_is_named(load, tmp_path, monkeypatch):
    (tmp_path / "exits_here.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"data set dots: exits_here:make cannot be imported: SystemExit: 3"):
        load((), load="exits_here:make")
