"""The extraction in a worker: in the fastest form, with progress, and what its trial found is used again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from backends.extraction import ExtractionForm
from backends.task import Task, Variant
from backends.values import Resolved
from bench.cache import extraction_trials
from bench.cache.extraction_trials import FormTime
from bench.worker import part_report
from bench.worker.extraction import fastest_form, feature_extraction, form_trial
from bench.worker.extraction.fastest_form import make_fastest_form
from bench.worker.extraction.feature_extraction import extract, extract_in_batches

TASK = Task(name="t", backbone="resnet18", weights="random", dataset="digits", image_size=32)
FORMS = (ExtractionForm("plain", Variant(), 8, 0.0), ExtractionForm("compiled", Variant(), 8, 0.0))
TRAIN, TEST = (np.random.default_rng(n).integers(256, size=(n, 8, 8, 3), dtype=np.uint8) for n in (30, 13))


class Trainer:
    """As `backends.base.Trainer`, with two forms, one of which may fail to be made."""

    task, variant = TASK, Variant()

    def __init__(self, threads: int = 1, version: str = "1.0", fails: bool = False) -> None:
        self.resolved = Resolved(
            "numpy", {"numpy": version}, "cpu", "eager", "none", "nhwc", "fp32", threads, 1, "a generator", {}
        )
        self.made: list[str] = []
        self.fails = fails

    def list_extraction_forms(self):
        return FORMS

    def make_extractor(self, form):
        self.made.append(form.name)
        if self.fails and form.name == "compiled":
            raise RuntimeError("no compiler")

        def features(images):
            assert len(images) == form.batch_size, "compiled code may be made for one shape"
            return np.repeat(images.reshape(len(images), -1).mean(1, keepdims=True), 512, axis=1).astype(np.float32)

        return features


class Messages(list):
    def send(self, event: str, **content: object) -> None:
        self.append({"event": event, **content})


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    monkeypatch.setattr(form_trial, "MAKING_SHARE", 1e9)  # every form is worth a trial
    monkeypatch.setattr(fastest_form, "MOST_OTHER_CPU", 2.0)  # the machine of the tests may be busy
    return tmp_path


def test_all_images_are_computed_in_their_order_and_progress_is_sent(monkeypatch):
    monkeypatch.setattr(part_report, "REPORT_SECONDS", 0.0)
    messages = Messages()
    found = extract(Trainer(), TRAIN, TEST, "pytorch", messages)
    for got, images in ((found.train, TRAIN), (found.test, TEST)):
        assert got.shape == (len(images), 512)
        np.testing.assert_allclose(got[:, 0], images.reshape(len(images), -1).mean(1), rtol=1e-6)
    assert found.form in ("plain", "compiled")
    phases = [message for message in messages if message["event"] == "phase"]
    assert [phase["name"] for phase in phases] == [
        "extraction, making plain",
        "extraction, making compiled",
        "extraction",
    ]
    assert [bool(phase.get("compiles")) for phase in phases] == [True, True, False]
    parts = [(message["done"], message["of"]) for message in messages if message["event"] == "part"]
    assert parts == [(8, 43), (16, 43), (24, 43), (30, 43), (38, 43), (43, 43)]


def test_what_a_trial_found_is_used_again_under_the_same_conditions():
    first, again, other_threads, other_version = Trainer(), Trainer(), Trainer(threads=2), Trainer(version="1.1")
    make_fastest_form(first, TRAIN, 43, "pytorch", Messages())
    form, _ = make_fastest_form(again, TRAIN, 43, "pytorch", Messages())
    for trainer in (other_threads, other_version):
        make_fastest_form(trainer, TRAIN, 43, "pytorch", Messages())
    assert first.made == ["plain", "compiled"]
    assert again.made == [form.name]
    assert other_threads.made == other_version.made == ["plain", "compiled"]


def test_what_other_programs_disturbed_is_not_kept(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fastest_form, "_is_disturbed", lambda *_: True)
        for _ in range(2):
            trainer = Trainer()
            make_fastest_form(trainer, TRAIN, 43, "pytorch", Messages())
            assert trainer.made == ["plain", "compiled"]
    before = fastest_form.Counters(0, busy=10, total=100, steal=0, ours=5, throttled=None, thermal=None, swapped=0)
    after = dataclasses.replace(before, busy=20, total=200, ours=12)
    monkeypatch.setattr(fastest_form, "MOST_OTHER_CPU", 0.05)
    assert not fastest_form._is_disturbed(before, after), "3 % by others"
    assert fastest_form._is_disturbed(before, dataclasses.replace(after, ours=6))
    assert not fastest_form._is_disturbed(before, before)


def test_a_form_that_can_no_longer_be_made_is_replaced():
    make_fastest_form(Trainer(), TRAIN, 43, "pytorch", Messages())
    (file,) = extraction_trials.get_folder().iterdir()
    extraction_trials.write(
        file.stem,
        {"plain": FormTime(making_s=0, image_s=1.0), "compiled": FormTime(making_s=0, image_s=0.5)},
    )
    trainer = Trainer(fails=True)
    form, _ = make_fastest_form(trainer, TRAIN, 43, "pytorch", Messages())
    assert (form.name, trainer.made) == ("plain", ["compiled", "plain", "compiled"])
    assert extraction_trials.read(file.stem)["compiled"].image_s is None


def test_a_form_that_ends_the_process_is_left_out_after_the_second_time():
    class Killed(BaseException):
        """The process ends: nothing that comes after it runs."""

    class Deadly(Trainer):
        def make_extractor(self, form):
            extractor = super().make_extractor(form)
            if form.name == "compiled":
                raise Killed
            return extractor

    for _ in range(2):
        with pytest.raises(Killed):
            make_fastest_form(Deadly(), TRAIN, 43, "pytorch", Messages())
    trainer = Deadly()
    form, _ = make_fastest_form(trainer, TRAIN, 43, "pytorch", Messages())
    assert (form.name, trainer.made) == ("plain", ["plain"])
    again = Deadly()
    make_fastest_form(again, TRAIN, 43, "pytorch", Messages())
    assert again.made == ["plain"]


def test_a_form_whose_making_a_signal_ended_once_is_tried_again():
    make_fastest_form(Trainer(), TRAIN, 43, "pytorch", Messages())
    (file,) = extraction_trials.get_folder().iterdir()
    begun = FormTime(making_s=0, image_s=None, unfinished=1)
    extraction_trials.write(file.stem, {**extraction_trials.read(file.stem), "compiled": begun})
    trainer = Trainer()
    make_fastest_form(trainer, TRAIN, 43, "pytorch", Messages())
    assert trainer.made == ["plain", "compiled"]
    assert extraction_trials.read(file.stem)["compiled"].unfinished == 0


@pytest.mark.parametrize("content", [b"", b"{", b'{"plain": {"making_s": 1, "image_s": null}}', b'{"plain": 3}'])
def test_a_damaged_trial_only_costs_another_one(content):
    make_fastest_form(Trainer(), TRAIN, 43, "pytorch", Messages())
    (file,) = extraction_trials.get_folder().iterdir()
    file.write_bytes(content)
    trainer = Trainer()
    make_fastest_form(trainer, TRAIN, 43, "pytorch", Messages())
    assert trainer.made == ["plain", "compiled"]


def test_where_nothing_can_be_kept_the_trial_is_repeated(home):
    (home / extraction_trials.FOLDER).write_text("a file in its place")
    for _ in range(2):
        trainer = Trainer()
        make_fastest_form(trainer, TRAIN, 43, "pytorch", Messages())
        assert trainer.made == ["plain", "compiled"]


def test_no_images_have_no_features():
    assert extract_in_batches(Trainer().make_extractor(FORMS[0]), FORMS[0], TEST[:0], TASK).shape == (0, 512)


def test_waiting_for_another_process_is_said_once_and_then_reported(monkeypatch):
    monkeypatch.setattr(part_report, "REPORT_SECONDS", 0.0)
    messages = Messages()
    waiting = feature_extraction._Waiting(messages)
    for _ in range(3):
        waiting()
    assert [message["event"] for message in messages] == ["phase", "part", "part", "part"]


def test_the_cache_clear_command_removes_trials(home, command_line):
    make_fastest_form(Trainer(), TRAIN, 43, "pytorch", Messages())
    assert command_line("cache", "clear").status == 0
    assert list(extraction_trials.get_folder().iterdir()) == []
