"""Names of cases, tasks, paths and warnings are text, whatever is in them."""

from __future__ import annotations

import pytest

from bench.report.html.run_file import format_run
from tests.bench.example_records import NOISY, TASK, died, launches, record

HOSTILE = "</script><script>window.planted=1</script>\"'><img src=x onerror=window.planted=2>&amp;{{7*7}}"
#: A mark that turns the order of what follows, one that has no width, and an end of a terminal's line.
UNSEEN = "a\u202eb\u200bc\x1b[31md"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    task = TASK.model_copy(update={"name": f"task {HOSTILE}"})
    warning = NOISY.model_copy(update={"evidence": HOSTILE, "advice": UNSEEN})
    about = {
        "run": {
            "command": f"run --data-dir '{HOSTILE}'",
            "skipped": {HOSTILE: UNSEEN},
            "banner": f"{HOSTILE}\n{UNSEEN}",
        },
        "cpu": {"model": HOSTILE},
        "packages": {"torch": HOSTILE},
        "git": {"revision": UNSEEN},
    }
    records = [
        *launches("pytorch", 3, task=task),
        *launches("pytorch", 3, task=task, variant=HOSTILE),
        *launches("pytorch", 3, task=task, variant="other"),
        *launches("keras", 3, task=task, variant=UNSEEN, warnings=[warning]),
        died(record("tensorflow", task=task), "import", HOSTILE, [UNSEEN, HOSTILE]),
    ]
    changes = {"about": about, "resolved": {HOSTILE: UNSEEN}}
    path = tmp_path_factory.mktemp("hostile") / "a folder with <b> & ' and #.html"
    path.write_text(format_run([each.model_copy(update=changes) for each in records]), encoding="utf-8")
    return path


def test_no_name_becomes_a_script_or_an_element(browser, page):
    browser.open(page)
    for number in range(1, 9):
        browser.run("document.querySelector(arguments[0]).click()", f"#tab-{number}")
    browser.run("document.querySelectorAll('[data-markdown], [data-csv]').forEach((each) => each.click())")
    assert browser.run("return window.planted") is None
    assert browser.run("return document.scripts.length") == 1
    assert browser.run("return document.querySelectorAll('img').length") == 0
    assert browser.run("return document.body.textContent.includes(arguments[0])", HOSTILE)
    assert browser.list_problems() == []
    assert [url for url in browser.list_requests() if url.startswith("http")] == []


def test_a_hostile_case_can_be_the_reference(browser, page):
    browser.open(page)
    options = "return [...document.querySelector('[data-switch=reference]').options].map((each) => each.value)"
    hostile = next(value for value in browser.run(options) if "<script>" in value)
    browser.run(
        "const select = document.querySelector('[data-switch=reference]'); select.value = arguments[0];"
        "select.dispatchEvent(new Event('change'))",
        hostile,
    )
    shown = (
        "return [...document.querySelectorAll('.opening figcaption')].find((one) => one.checkVisibility()).innerText"
    )
    assert HOSTILE in browser.run(shown)
    assert browser.fragment["reference"] == hostile
    assert browser.run("return window.planted") is None


def test_what_cannot_be_seen_is_spelt_out(page):
    text = page.read_text(encoding="utf-8")
    assert "a⟨U+202E⟩b⟨U+200B⟩c⟨U+001B⟩[31md" in text
    assert not set("\u202e\u200b\x1b") & set(text)
