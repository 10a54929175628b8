"""The trial of the forms of extraction, on forms whose times the test decides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from backends.extraction import ExtractionForm
from backends.task import Variant
from bench.cache.extraction_trials import FormTime
from bench.worker.extraction.form_trial import FormTrial, choose_from, choose_next

FORMS = tuple(
    ExtractionForm(name, Variant(), batch_size, making_s)
    for name, batch_size, making_s in (("eager", 8, 0.1), ("slow", 8, 30.0), ("script", 4, 2.0), ("graph", 8, 1.0))
)
#: Seconds for an image.
IMAGE_S = {"eager": 0.003, "slow": 0.0016, "script": 0.0029, "graph": 0.0015}
IMAGES = np.arange(20, dtype=np.uint8).reshape(20, 1)


class Machine:
    """A backend whose forms take the time that the test wants, on a machine that has slow phases."""

    def __init__(self, image_s: dict[str, float], slowness: Callable[[float], float] = lambda now: 1.0) -> None:
        self.image_s, self.slowness = image_s, slowness
        self.now = 0.0
        self.made: list[str] = []
        self.broken = {}

    def make(self, form: ExtractionForm):
        self.made.append(form.name)
        self.now += form.making_s
        if self.broken.get(form.name) == "cannot be made":
            raise RuntimeError("no compiler")

        def extract(images: np.ndarray) -> np.ndarray:
            assert len(images) == form.batch_size
            self.now += self.image_s[form.name] * len(images) * self.slowness(self.now)
            return images + (self.broken.get(form.name) == "computes something else")

        return extract

    def trial(self) -> FormTrial:
        return FormTrial(self.make, np.array_equal, lambda: self.now)

    def choose(self, count: int) -> str:
        form, extractor = self.trial().run(FORMS, IMAGES, count)
        assert len(extractor(IMAGES[: form.batch_size])) == form.batch_size
        return form.name


def test_the_fastest_form_is_chosen_and_costs_little():
    machine = Machine(IMAGE_S)
    assert machine.choose(60_000) == "graph"
    assert machine.made == ["eager", "graph", "script"], "the slow one would take more than it could save"
    assert machine.now < 0.1 * 60_000 * IMAGE_S["graph"]


@pytest.mark.parametrize(("count", "made"), [(70, 1), (3_000, 2), (20_000, 3), (200_000, 4)])
def test_for_few_images_only_what_is_made_quickly_is_tried(count, made):
    machine = Machine(IMAGE_S)
    machine.choose(count)
    assert len(machine.made) == made
    assert machine.made[0] == "eager"
    if made == 1:
        batches = 2  # the first one, and the one above
        assert machine.now == pytest.approx(FORMS[0].making_s + batches * 8 * IMAGE_S["eager"])


def test_slow_phases_of_the_machine_choose_no_form():
    """Another program takes most of the CPU now and then: forms run in turn, and the fastest batch of each counts."""
    for offset in np.linspace(0, 1, 11):
        machine = Machine(IMAGE_S, lambda now, offset=offset: 5.0 if (now / 0.09 + offset) % 1 < 0.5 else 1.0)
        assert machine.choose(60_000) in ("graph", "slow")


def test_a_form_that_cannot_be_made_or_computes_something_else_is_left_out():
    machine = Machine(IMAGE_S)
    machine.broken = {"graph": "computes something else", "slow": "cannot be made"}
    trial = machine.trial()
    form, _ = trial.run(FORMS, IMAGES, 200_000)
    assert form.name == "script"
    assert trial.found["graph"].image_s is None
    assert trial.found["slow"].image_s is None
    assert choose_from(trial.found, FORMS, 200_000).name == "script", "and is not tried again"


def test_a_former_trial_chooses_by_making_and_computing_together():
    trial = Machine(IMAGE_S).trial()
    trial.run(FORMS, IMAGES, 200_000)
    chosen = {count: choose_from(trial.found, FORMS, count).name for count in (100, 1_000, 60_000, 10**7)}
    assert chosen == {100: "eager", 1_000: "graph", 60_000: "graph", 10**7: "graph"}
    times = {name: FormTime(making_s=making_s, image_s=s) for name, making_s, s in (("a", 1, 0.1), ("b", 30, 0.05))}
    forms = [ExtractionForm(name, Variant(), 8, 1.0) for name in times]
    assert [choose_from(times, forms, count).name for count in (579, 581)] == ["a", "b"]


def test_a_former_trial_of_too_few_forms_is_none():
    few = Machine(IMAGE_S).trial()
    few.run(FORMS, IMAGES, 3_000)
    assert choose_from(few.found, FORMS, 3_000).name == "graph"
    assert choose_from(few.found, FORMS, 20_000) is None
    assert choose_from({}, FORMS, 500) is None


def test_making_other_forms_may_take_a_share_of_the_time_in_the_fastest_one():
    def list_tried(count: int, image_s: dict[str, float]) -> list[str]:
        found = {"eager": FormTime(making_s=0.1, image_s=image_s["eager"])}
        while form := choose_next(FORMS, found, count):
            found[form.name] = FormTime(making_s=form.making_s, image_s=image_s[form.name])
        return list(found)

    assert list_tried(1_600, IMAGE_S) == ["eager"]
    assert list_tried(1_700, IMAGE_S) == ["eager", "graph"], "a second of five"
    assert list_tried(9_900, IMAGE_S) == ["eager", "graph"], "the graph has halved the time"
    assert list_tried(10_100, IMAGE_S) == ["eager", "graph", "script"]
    assert list_tried(60_000, IMAGE_S) == ["eager", "graph", "script"]
    assert list_tried(60_000, {**IMAGE_S, "graph": 0.0029}) == ["eager", "graph", "script", "slow"]
