"""The browser, once for all tests of pages, and the pages of runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from bench.analysis.warnings import add_run_warnings
from bench.publish.site import publish_site
from bench.records import store
from bench.report.html.run_file import format_run
from tests.bench.example_records import BROKEN, NOISY, launches, record
from tests.bench.stored_runs import write_history, write_run
from tests.pages.browser import Browser, start_browser

REFERENCE_RUNS = Path(__file__).parents[2] / "results/reference"
#: Names of a published run, its task and its variant.
HOSTILE = "<script>window.planted=1</script>'\"><img src=x onerror=window.planted=2>"
HOSTILE_RUN = f"20260131T000000Z-{HOSTILE}#?%2e".replace("/", "_")


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


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """A site with a history, a run of another machine, one with hostile names, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("published")
    results = folder / "results"
    write_history(results, [5.0] * 6 + [6.0] * 8)
    shutil.copytree(REFERENCE_RUNS / "20261126T164841Z-quick", results / "20261126T164841Z-quick")
    changes = {"name": HOSTILE}
    strange = [
        one.model_copy(update={"task": one.task.model_copy(update=changes)})
        for one in [*launches("pytorch", 4), *launches("keras", 4, variant=HOSTILE)]
    ]
    write_run(results, HOSTILE_RUN, strange)
    broken = write_run(results, f"20260130T000000Z-{HOSTILE}".replace("/", "_"), launches("pytorch", 1))
    next((broken / "records").iterdir()).write_text("{")
    publish_site(results, folder / "site #1", None, Console(quiet=True))
    return folder / "site #1"


@pytest.fixture(scope="session")
def site_page(site) -> Path:
    """The first page of a site."""
    return site / "index.html"


@pytest.fixture(scope="session")
def history_page(site) -> Path:
    """The page of a history with changes."""
    return next((site / "history").glob("cifar10-resnet18*.html"))
