"""The trial of the forms of extraction: it finds out in which one a backend computes features fastest.

The forms run on some of the images in turn. What is found is kept, see `bench.cache.extraction_trials`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from backends.extraction import ExtractionForm, Extractor
from bench.cache.extraction_trials import FormTime, Trial

#: The share of an extraction's time, in its first form, that making other forms may take. A form that is a quarter
#: faster than the first one (1 / (1 - 1/5)) then already pays in the extraction that tries it; the fastest forms were
#: measured to be 1.3 to 2 times as fast. Later extractions find what the trial found.
MAKING_SHARE = 1 / 5
#: The share that the timing of the forms may take, beyond `LEAST_REPEATS` batches of each.
TIMING_SHARE = 1 / 50
#: Calls of a form before it is timed: TorchScript compiles in the second one, by what it saw in the first.
WARM_UP_CALLS = 3
#: Timed batches of each form, of which the fastest counts: what another program takes is no property of a form.
LEAST_REPEATS, MOST_REPEATS = 3, 12
#: A form that takes more than so many times as long as the fastest one is timed no further.
CONTENDER = 1.15


def list_affordable(forms: Sequence[ExtractionForm], image_s: float, images: int) -> list[ExtractionForm]:
    """List the forms that are worth making for so many images: the first one, and others while making them takes at
    most `MAKING_SHARE` of the time that the first one takes for all images.

    Args:
        image_s: seconds that the first form takes for an image.
    """
    first, *others = forms
    left, chosen = MAKING_SHARE * image_s * images, {first.name}
    for form in sorted(others, key=lambda one: one.making_s):
        left -= form.making_s
        if left < 0:
            break
        chosen.add(form.name)
    return [form for form in forms if form.name in chosen]


def choose_from(trial: Trial, forms: Sequence[ExtractionForm], images: int) -> ExtractionForm | None:
    """Choose the form that takes the least time for so many images, with its making, by a former trial.

    None if the trial lacks a form that is worth trying for so many images.
    """
    first = trial.get(forms[0].name)
    if first is None or first.image_s is None:
        return None
    if any(form.name not in trial for form in list_affordable(forms, first.image_s, images)):
        return None
    seconds = {
        form.name: times.making_s + times.image_s * images
        for form in forms
        if (times := trial.get(form.name)) and times.image_s is not None
    }
    return min((form for form in forms if form.name in seconds), key=lambda form: seconds[form.name])


@dataclass
class FormTrial:
    """A trial of forms on a backend.

    Attributes:
        make: makes a form.
        is_same: whether the features of a batch agree: those of the first form, and those of another one.
        on_form: called with each form before it is made.
        found: what was found so far, by the form's name.
    """

    make: Callable[[ExtractionForm], Extractor]
    is_same: Callable[[np.ndarray, np.ndarray], bool]
    on_form: Callable[[ExtractionForm], object]
    clock: Callable[[], float] = time.perf_counter
    found: dict[str, FormTime] = field(default_factory=dict)

    def run(self, forms: Sequence[ExtractionForm], images: np.ndarray, count: int) -> tuple[ExtractionForm, Extractor]:
        """Try the forms that are worth it for `count` images, on some of `images`; returns the fastest one, made.

        A form that cannot be made, or computes other features than the first one, is left out. The first one must work.
        """
        self._batch = images[np.arange(max(form.batch_size for form in forms)) % len(images)]
        first = forms[0]
        began = self.clock()
        extractor = self._make(first)
        features, first_call_s = self._call(first, extractor)
        making_s = self.clock() - began
        # The first call is a slow one: if no other form is worth it by its time, none is.
        if len(list_affordable(forms, first_call_s / first.batch_size, count)) == 1:
            return first, extractor
        self._warm_up(first, extractor)
        self._note(first, making_s, self._time(first, extractor))
        made = {first: extractor}
        for form in list_affordable(forms, self._get_image_s(first), count)[1:]:
            began = self.clock()
            try:
                extractor = self._make(form)
                own_features, _ = self._call(form, extractor)
                self._warm_up(form, extractor)
            except Exception:  # whatever a framework's compiler raises: another form does the same
                self._note(form, self.clock() - began, None)
                continue
            shared = min(len(features), len(own_features))
            if not self.is_same(features[:shared], own_features[:shared]):
                self._note(form, self.clock() - began, None)
                continue
            self._note(form, self.clock() - began, np.inf)
            made[form] = extractor
        if len(made) > 1:
            self._time_in_turn(made, TIMING_SHARE * self._get_image_s(first) * count)
        best = min(made, key=self._get_image_s)
        return best, made[best]

    def _make(self, form: ExtractionForm) -> Extractor:
        self.on_form(form)
        return self.make(form)

    def _call(self, form: ExtractionForm, extractor: Extractor) -> tuple[np.ndarray, float]:
        """Compute one batch; returns its features and the seconds."""
        began = self.clock()
        features = extractor(self._batch[: form.batch_size])
        return features, self.clock() - began

    def _warm_up(self, form: ExtractionForm, extractor: Extractor) -> None:
        for _ in range(WARM_UP_CALLS - 1):
            self._call(form, extractor)

    def _note(self, form: ExtractionForm, making_s: float, image_s: float | None) -> None:
        self.found[form.name] = FormTime(making_s=making_s, image_s=image_s)

    def _time_in_turn(self, made: Mapping[ExtractionForm, Extractor], seconds: float) -> None:
        """Time the forms in turn, for at most `seconds` once each has `LEAST_REPEATS`."""
        end = self.clock() + seconds
        for repeat in range(MOST_REPEATS):
            if repeat >= LEAST_REPEATS and self.clock() > end:
                return
            fastest = min(map(self._get_image_s, made))
            for form, extractor in made.items():
                if repeat < LEAST_REPEATS or self._get_image_s(form) <= CONTENDER * fastest:
                    image_s = min(self._get_image_s(form), self._time(form, extractor))
                    self._note(form, self.found[form.name].making_s, image_s)

    def _time(self, form: ExtractionForm, extractor: Extractor) -> float:
        """Time one batch; returns the seconds for an image."""
        return self._call(form, extractor)[1] / form.batch_size

    def _get_image_s(self, form: ExtractionForm) -> float:
        image_s = self.found[form.name].image_s
        return np.inf if image_s is None else image_s
