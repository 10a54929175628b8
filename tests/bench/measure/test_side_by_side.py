"""Workers that are built side by side: in what order they go on, and what a death or a slow one means to the others."""

from __future__ import annotations

import random
import re

import psutil
import pytest

from bench.measure import conductor
from bench.measure.conductor import LaunchLimits
from tests.bench.measure.test_conductor import Watcher, find_worker, make_jobs
from tests.bench.processes import SITE


@pytest.mark.slow
def test_a_search_builds_workers_side_by_side_and_ends_slow_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(SITE))
    made = make_jobs(tmp_path, "a", "raise in build", "b", "sleep 10", "c", rounds=2)
    made = [job.model_copy(update={"rests": True, "kinds": ("pipeline",), "seeds": ()}) for job in made]
    starts = []
    limits = LaunchLimits(
        parallel_builds=2, max_slowdown=5.0, is_too_late=lambda: len(starts) == 3 or starts.append(1) is not None
    )
    watcher = Watcher()
    done = conductor.run_launch(made, 0.02, random.Random(1), watcher, limits=limits)
    a, raised, b, slow, late = done.outcomes
    assert watcher.events.index(("b", "built")) < watcher.events.index(("a", "calibrated"))
    assert a.failure is None
    assert b.failure is None
    assert raised.failure.reason == "ValueError: planted: raised in build"
    assert re.fullmatch(r"a step takes [\d.]+ times as long as a's", slow.failure.reason)
    assert late.failure is None
    assert late.messages == {}, "it was too late to start it"
    assert not any(outcome.started_alone for outcome in (a, raised, b, slow))
    assert {case for _, _, case in watcher.rounds} == {"a", "b"}


@pytest.mark.slow
def test_a_worker_that_is_killed_while_others_build_takes_none_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(SITE))
    made = [job.model_copy(update={"rests": True}) for job in make_jobs(tmp_path, "a", "killed", "b", rounds=2)]
    killed: list[psutil.Process] = []

    class Killer(Watcher):
        def on_event(self, case, message) -> None:
            super().on_event(case, message)
            if (case, message["event"]) == ("a", "phase") and not killed:
                killed.append(find_worker("killed"))
                killed[0].kill()

    watcher = Killer()
    done = conductor.run_launch(made, 0.02, random.Random(1), watcher, limits=LaunchLimits(parallel_builds=3))
    failures = {outcome.job.case: outcome.failure for outcome in done.outcomes}
    assert failures["killed"].reason.startswith("killed by SIGKILL")
    assert (failures["a"], failures["b"]) == (None, None)
    assert watcher.events.index(("b", "built")) < watcher.events.index(("a", "calibrated"))
    assert watcher.events.index(("a", "calibrated")) < watcher.events.index(("b", "calibrated")), "one after the other"
    assert {case for _, _, case in watcher.rounds} == {"a", "b"}
