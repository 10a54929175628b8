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

#: The share of an extraction's time, in the fastest form known so far, that making other forms may take. A form that is
#: a quarter faster (1 / (1 - 1/5)) then already pays in the extraction that tries it; the fastest forms were measured
#: to be 1.3 to 2 times as fast as the first one. Later extractions find what the trial found.
MAKING_SHARE = 1 / 5
#: The share that the timing of the forms may take, beyond `LEAST_REPEATS` batches of each.
TIMING_SHARE = 1 / 50
#: Calls of a form before it is timed: TorchScript compiles in the second one, by what it saw in the first.
WARM_UP_CALLS = 3
#: Timed batches of each form, of which the fastest counts: what another program takes is no property of a form.
LEAST_REPEATS, MOST_REPEATS = 3, 12
#: A form that takes more than so many times as long as the fastest one is timed no further.
CONTENDER = 1.15


def choose_next(forms: Sequence[ExtractionForm], found: Trial, images: int) -> ExtractionForm | None:
    """Choose the form that is worth trying next: the one that is made most quickly, if making it, and all tried before
    it but the first one, takes at most `MAKING_SHARE` of the time that the fastest one takes for so many images.

    None if no further form is worth it.
    """
    others = forms[1:]
    untried = [form for form in others if form.name not in found]
    if not untried:
        return None
    following = min(untried, key=lambda form: form.making_s)
    making_s = following.making_s + sum(form.making_s for form in others if form.name in found)
    fastest_s = min(times.image_s for times in found.values() if times.image_s is not None)
    return following if making_s <= MAKING_SHARE * fastest_s * images else None


def choose_from(former: Trial, forms: Sequence[ExtractionForm], images: int) -> ExtractionForm | None:
    """Choose the form that takes the least time for so many images, with its making, by a former trial.

    None if another form is worth trying for so many images.
    """
    known = {form.name: former[form.name] for form in forms if form.name in former}
    first = known.get(forms[0].name)
    if first is None or first.image_s is None or choose_next(forms, known, images):
        return None
    seconds = {
        form: known[form.name].making_s + image_s * images
        for form in forms
        if form.name in known and (image_s := known[form.name].image_s) is not None
    }
    return min(seconds, key=lambda form: seconds[form])


@dataclass
class FormTrial:
    """A trial of forms on a backend.

    Attributes:
        make: makes a form.
        is_same: whether the features of a batch agree: those of the first form, and those of another one.
        found: what was found so far, by the form's name; a form that is to be left out may be in it before.
    """

    make: Callable[[ExtractionForm], Extractor]
    is_same: Callable[[np.ndarray, np.ndarray], bool]
    clock: Callable[[], float] = time.perf_counter
    found: dict[str, FormTime] = field(default_factory=dict)

    def run(self, forms: Sequence[ExtractionForm], images: np.ndarray, count: int) -> tuple[ExtractionForm, Extractor]:
        """Try the forms that are worth it for `count` images, on some of `images`; returns the fastest one, made.

        A form that cannot be made, or computes other features than the first one, is left out. The first one must work.
        """
        self._batch = images[np.arange(max(form.batch_size for form in forms)) % len(images)]
        first = forms[0]
        began = self.clock()
        extractor = self.make(first)
        features, first_call_s = self._call(first, extractor)
        making_s = self.clock() - began
        # The first call is a slow one: if no other form is worth it by its time, none is.
        self._note(first, making_s, first_call_s / first.batch_size)
        if choose_next(forms, self.found, count) is None:
            del self.found[first.name]
            return first, extractor
        self._warm_up(first, extractor)
        self._note(first, making_s, self._time(first, extractor))
        made = {first: extractor}
        while form := choose_next(forms, self.found, count):
            if one := self._try(form, features):
                made[form] = one
        if len(made) > 1:
            self._time_in_turn(made, TIMING_SHARE * self._get_image_s(first) * count)
        best = min(made, key=self._get_image_s)
        return best, made[best]

    def _try(self, form: ExtractionForm, features: np.ndarray) -> Extractor | None:
        """Make and time a form; None if that fails, or if its features are not `features`, those of the first form."""
        began = self.clock()
        try:
            extractor = self.make(form)
            own_features, _ = self._call(form, extractor)
            self._warm_up(form, extractor)
        except Exception:  # whatever a framework's compiler raises: another form does the same
            self._note(form, self.clock() - began, None)
            return None
        making_s = self.clock() - began
        shared = min(len(features), len(own_features))
        same = self.is_same(features[:shared], own_features[:shared])
        self._note(form, making_s, self._time(form, extractor) if same else None)
        return extractor if same else None

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
