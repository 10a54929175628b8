"""axe-core, a checker of the rules of WCAG, finds nothing in a page: light, dark, on a phone, with every part open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: The script, which `nox -s pages` fetches: it is a tool of the tests, and no part of the project.
CHECKER = "HEADTOHEAD_AXE"
RUN = """
const done = arguments[0];
axe.run(document, { resultTypes: ["violations"] }).then(
  (found) => done(found.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes[0].html}`)),
  (problem) => done([String(problem)]));
"""


@pytest.fixture(scope="module")
def checker() -> str:
    path = os.environ.get(CHECKER)
    if not path or not Path(path).is_file():
        pytest.skip(f"axe-core is not here: nox -s pages fetches it with npm, and names its file in {CHECKER}")
    return Path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["reference_page", "mixed_page", "site_page", "history_page"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_no_rule_is_violated(browser, request, checker, page, scheme, width):
    browser.resize(width)
    browser.prefer(scheme)
    browser.open(request.getfixturevalue(page))
    browser.run(checker)
    assert browser.driver.execute_async_script(RUN) == []
    browser.run("document.querySelectorAll('.part').forEach((part) => { part.hidden = false; })")
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert browser.driver.execute_async_script(RUN) == []


def test_it_would_find_a_violation(browser, reference_page, checker):
    browser.open(reference_page)
    browser.run(checker)
    browser.run(
        "document.querySelector('[data-switch=theme]').closest('label').replaceWith(document.createElement('select'))"
    )
    assert any("select-name" in one for one in browser.driver.execute_async_script(RUN))
