"""In a worker's own process: the form of extraction that a trial chooses, and all others in turn with it.

`python -m tests.yardsticks.forms_in_worker JOB.json` runs it. The job's seed is the number of images to choose for.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from bench.worker import plugin
from bench.worker.extraction.fastest_form import make_fastest_form
from tests.yardsticks import in_worker

#: Seconds for which each form is timed, at least `LEAST` batches; the quickest one counts.
SECONDS, LEAST = 3.0, 5
#: Calls before: the compilers of some forms run in the second one.
FIRST_CALLS = 3


def test_forms(case: str, session: plugin.CaseSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADTOHEAD_HOME", str(session.job.folder))  # nothing is known of former trials
    trainer, images, (count,) = session.trainer, session.train[0], session.job.seeds
    began = time.perf_counter()
    chosen, extractor = make_fastest_form(trainer, images, count, session.job.backend, session.baton)
    choosing_s = time.perf_counter() - began
    extractors = {chosen: extractor}
    for form in trainer.list_extraction_forms():
        if form not in extractors:
            try:
                made = trainer.make_extractor(form)
                for _ in range(FIRST_CALLS):
                    made(images[: form.batch_size])
                extractors[form] = made
            except Exception as error:
                print(f"{form.name} cannot be made: {error}")
    image_s = dict.fromkeys((form.name for form in extractors), np.inf)
    end, turn = time.perf_counter() + SECONDS * len(extractors), 0
    while turn < LEAST or time.perf_counter() < end:
        for form, extract in extractors.items():
            began = time.perf_counter()
            extract(images[: form.batch_size])
            image_s[form.name] = min(image_s[form.name], (time.perf_counter() - began) / form.batch_size)
        turn += 1
    session.baton.send("forms", chosen=chosen.name, image_s=image_s, choosing_s=choosing_s)


if __name__ == "__main__":
    sys.exit(in_worker.run(__file__, sys.argv[1]))
