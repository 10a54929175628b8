"""A run on the user's own images: their classes are the head's outputs, and other images are another experiment."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.data import image_file, images
from bench.data.image_file import map_image_file, read_image_file
from bench.data.images import Framing
from bench.data.undecoded_files import count_files
from bench.errors import UserError
from bench.machine import load as machine_load
from bench.machine.environment import describe_environment
from bench.measure import resume
from bench.plan.plan import make_plan
from bench.plan.request import Request
from bench.records import store
from bench.report.exporters import write_environment
from tests.bench.data.drawn_images import draw, write_class_folders
from tests.bench.processes import Bench, suite_file

COUNTS = {"cat": 12, "dog": 9, "cow": 9}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """An empty home."""
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def pets(tmp_path) -> Path:
    return write_class_folders(tmp_path / "pets", COUNTS, endings=("png", "jpg", "webp"))


def make_request(pets: Path, tmp_path: Path, **others: object) -> Request:
    overrides = {"weights": "random", "batch_size": 4}
    return Request(tasks=["cifar10-resnet18"], overrides=overrides, images=pets, results=tmp_path, **others)


def test_a_plan_has_the_images_and_their_classes(pets, tmp_path):
    (prepared,) = make_plan(make_request(pets, tmp_path)).tasks
    assert prepared.task.classes == 3
    assert prepared.task.dataset == prepared.dataset.name
    assert "dataset" in prepared.overridden
    assert (len(prepared.dataset.train_images), len(prepared.dataset.test_images)) == (26, 4)
    assert prepared.dataset.train_images.shape[1:] == (32, 32, 3)


def test_other_images_and_another_crop_are_another_task(pets, tmp_path):
    (first,) = make_plan(make_request(pets, tmp_path)).tasks
    shutil.move(pets, tmp_path / "moved")
    (moved,) = make_plan(make_request(tmp_path / "moved", tmp_path)).tasks
    assert moved.task.hash == first.task.hash
    draw(999).save(tmp_path / "moved" / "cat" / "00.png")
    (other,) = make_plan(make_request(tmp_path / "moved", tmp_path)).tasks
    assert other.task.hash != first.task.hash
    assert other.dataset.fingerprint != first.dataset.fingerprint


def test_the_suite_may_crop_and_frameworks_resize_the_rest(pets, tmp_path):
    request = make_request(pets, tmp_path)
    request = Request(
        **{**vars(request), "overrides": {**request.overrides, "resize": 48, "crop": 40, "image_size": 64}}
    )
    (prepared,) = make_plan(request).tasks
    assert prepared.dataset.train_images.shape[1:] == (40, 40, 3)
    assert prepared.task.dataset.endswith("-40px-3")
    assert (prepared.task.resize, prepared.task.crop) == (48, 40)


def test_a_request_with_images_is_kept_and_refused_when_they_changed(pets, tmp_path):
    request = make_request(pets, tmp_path)
    run = tmp_path / "run"
    (run / store.RECORDS).mkdir(parents=True)
    resume.write_request(run, request)
    assert resume.read_request(run).images == pets
    content = json.loads((run / resume.REQUEST_FILE).read_text())
    del content["images"]
    (run / resume.REQUEST_FILE).write_text(json.dumps(content))
    assert resume.read_request(run).images is None, "a run of an earlier version has none"


@pytest.mark.slow
def test_a_run_trains_on_the_images_and_is_read_without_them(pets, tmp_path, home):
    options = ("--suite", suite_file(tmp_path), "--backend", "pytorch", "--backend", "jax", "--train-limit", "20")
    with Bench("run", *options, "--images", pets, "--results", tmp_path / "results", cwd=tmp_path) as bench:
        assert bench.end() == 0, bench.stderr
    (run,) = (tmp_path / "results").iterdir()
    records, _ = store.read_records(run)
    names = {record.task.dataset for record in records}
    assert len(names) == 1
    assert records[0].task.classes == 3
    assert all(record.proof.comparable for record in records)
    (about,) = {record.about["run"]["datasets"]["cifar10-resnet18"] for record in records}
    assert about == "class folders in '…/pets', split drawn from seed 0, 20 of 26 training images"
    shutil.rmtree(pets)
    shutil.rmtree(home)
    with Bench("show", "--full", run, cwd=tmp_path) as shown:
        assert shown.end() == 0, shown.stderr
        assert names.pop() in shown.stdout.replace("\n", "")


def test_only_files_can_be_decoded_and_on_one_device(pets, tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((10, 9, 9, 3), np.uint8), labels=np.arange(10) % 2)
    options = {"knobs": ["images=encoded"], "backends": ["pytorch"]}
    with pytest.raises(UserError, match=r"and there are none: give class folders or Parquet with --images$"):
        make_plan(make_request(tmp_path / "x.npz", tmp_path, **options))
    with pytest.raises(
        UserError, match=r": images 'encoded' is for one device: use --devices 1, or do not set images$"
    ):
        make_plan(make_request(pets, tmp_path, devices=(2,), **options))
    (prepared,) = make_plan(make_request(pets, tmp_path, **options)).tasks
    assert count_files(prepared.dataset.image_files) == len(prepared.dataset.train_images)


@pytest.mark.slow
@pytest.mark.thorough
def test_frameworks_decode_the_files_in_their_own_input_pipelines(tmp_path):
    photographs = tmp_path / "photographs"
    for number in range(24):
        folder = photographs / f"class {number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        image = draw(number, 50 + 7 * (number % 5), 80 - 3 * number)
        image.save(folder / f"{number}.{'png' if number % 4 == 3 else 'jpg'}")
    backends = [part for name in ("pytorch", "tensorflow", "jax", "keras-torch") for part in ("--backend", name)]
    others = ("--resize", "40", "--flip", "--crop-scale", "0.5")
    options = ("--suite", suite_file(tmp_path), "--train-limit", "16", "--images", photographs, "--crop", "32")
    with Bench(
        "run", *options, *backends, *others, "--knob", "images=encoded", "--results", tmp_path / "results",
        cwd=tmp_path, REAL="yes", SHORT_WARMUP="yes",
    ) as bench:  # fmt: skip
        assert bench.end() == 0, bench.stderr
    (run,) = (tmp_path / "results").iterdir()
    records, _ = store.read_records(run)
    decoded = {
        record.backend: {check.name: check for check in record.proof.checks}["decoding"].difference
        for record in records
        if record.variant.images == "encoded"
    }
    assert {record.proof.status for record in records} == {"proven"}
    assert decoded["pytorch"] == decoded["jax"] == decoded["keras-torch"] == 0, "Pillow, as what they are held against"
    assert 0 < decoded["tensorflow"] < 2
    assert {record.resolved["input_pipeline"] for record in records if record.variant.images == "encoded"} == {
        "DataLoader, 2 workers, one file at a time, decoded by Pillow",
        "tf.data, tf.io.decode_image in a parallel map, vectorised map, autotuned prefetch",
        "Grain, files decoded by Pillow in threads, normalised on the device",
        "keras.utils.PyDataset, files decoded by Pillow in threads, augmented on the device",
    }


def test_images_that_are_too_large_for_memory_are_mapped(pets, monkeypatch):
    file = images.load(pets, Framing(8, 8), seed=0).file
    read = read_image_file(file)
    monkeypatch.setattr(image_file, "ALWAYS_READ", 0)
    monkeypatch.setattr(machine_load, "read_memory", lambda: (None, 2 * file.stat().st_size))
    mapped = read_image_file(file)
    assert {name: isinstance(array.base, np.memmap) for name, array in mapped.items()} == {
        "train_images": True,
        "test_images": True,
        "train_labels": False,
        "test_labels": False,
    }
    assert all((mapped[name] == array).all() for name, array in read.items())
    assert all(array.dtype == read[name].dtype for name, array in mapped.items())
    mapped["train_images"][:] = 0
    assert read_image_file(file)["train_images"].any(), "a change does not reach the file"
    monkeypatch.setattr(machine_load, "read_memory", lambda: (None, 9 * file.stat().st_size))
    assert not isinstance(read_image_file(file)["train_images"].base, np.memmap)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match="size"):
        map_image_file(file)


def test_the_conditions_name_the_images_and_a_change_stops_a_resume(pets, tmp_path):
    run = tmp_path / "run"
    (run / store.RECORDS).mkdir(parents=True)
    resume.write_request(run, make_request(pets, tmp_path))
    write_environment(run, {**describe_environment(), "run": {}}, ())
    plan = resume.plan_remaining(run, resume.read_request(run), describe_environment())
    assert plan.tasks[0].task.dataset.startswith("images-")
    shutil.rmtree(pets)
    with pytest.raises(UserError, match="it does not exist"):
        resume.plan_remaining(run, resume.read_request(run), describe_environment())
