"""The browser, once for all tests of pages, and the pages of runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.analysis.warnings import add_run_warnings
from bench.records import store
from bench.report.html.run_file import format_run
from tests.bench.example_records import BROKEN, NOISY, launches, record
from tests.pages.browser import Browser, start_browser

REFERENCE_RUNS = Path(__file__).parents[2] / "results/reference"


@pytest.fixture(scope="session")
def running(tmp_path_factory) -> Iterator[Browser]:
    with start_browser(tmp_path_factory.mktemp("downloads")) as made:
        yield made


@pytest.fixture
def browser(running) -> Browser:
    """A browser in its first state, whose log is empty."""
    running.driver.get("about:blank")
    running.resize(1200)
    running.prefer()
    running.list_problems()
    running.list_requests()
    return running


@pytest.fixture(scope="session")
def reference_page(tmp_path_factory) -> Path:
    """The report of the reference run."""
    records, problems = store.read_records(store.find_run(REFERENCE_RUNS))
    assert problems == []
    path = tmp_path_factory.mktemp("reference") / "report.html"
    path.write_text(format_run(add_run_warnings(records)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def mixed_page(tmp_path_factory) -> Path:
    """A report with two tasks, two divisions, a case that is not comparable, and warnings of one case."""
    other = record().task.model_copy(update={"name": "another-task", "batch_size": 64})
    records = [
        *launches("pytorch", 4, step_ms=5),
        *launches("pytorch", 4, step_ms=3, variant="tuned"),
        *launches("tensorflow", 4, step_ms=6.4, warnings=[NOISY]),
        *launches("keras", 4, step_ms=2, proof=BROKEN),
        *launches("pytorch", 4, step_ms=9, task=other),
        *launches("keras", 4, step_ms=7, task=other),
    ]
    path = tmp_path_factory.mktemp("mixed") / "report.html"
    path.write_text(format_run(records), encoding="utf-8")
    return path
