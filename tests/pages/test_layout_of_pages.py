"""A page looks right from a phone to a wall: nothing is cut off, nothing overlaps, nothing is too small to read."""

from __future__ import annotations

import pytest

#: Texts of drawings that overlap with another, or reach beyond the page.
BAD_TEXTS = """
const texts = [...document.querySelectorAll("svg text")].filter((text) => text.checkVisibility());
const boxes = texts.map((text) => [text, text.getBoundingClientRect(), text.closest("svg")]);
const bad = [];
for (const [i, [text, box, drawing]] of boxes.entries()) {
  if (box.left < -1 || box.right > innerWidth + 1) bad.push(`beyond: ${text.textContent}`);
  for (const [other, others, of] of boxes.slice(i + 1)) {
    if (of !== drawing) break;
    const beside = box.right <= others.left || others.right <= box.left;
    const above = box.bottom <= others.top || others.bottom <= box.top;
    if (!beside && !above) bad.push(`overlap: ${text.textContent} and ${other.textContent}`);
  }
}
return bad;
"""
SMALL = """
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const small = [];
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || element.closest("script, style")) continue;
  const size = parseFloat(getComputedStyle(element).fontSize);
  if (size < 12 && element.checkVisibility()) small.push(walker.currentNode.textContent);
}
return small;
"""
WIDTHS = (360, 768, 1280, 3840)


@pytest.mark.parametrize("page", ["reference_page", "mixed_page", "site_page", "history_page"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off_overlaps_or_is_tiny(browser, request, page, width):
    browser.resize(width)
    browser.open(request.getfixturevalue(page))
    for number in range(1, 9):
        browser.run("document.querySelector(arguments[0])?.click()", f"#tab-{number}")
        assert browser.run("return document.scrollingElement.scrollWidth") <= width, number
        assert browser.run(BAD_TEXTS) == [], number
        assert browser.run(SMALL) == [], number


def test_the_answer_and_the_ratios_are_on_the_first_screen(browser, reference_page):
    browser.resize(1280, 800)
    browser.open(reference_page)
    assert browser.run("return document.querySelector('.opening figure .x-title').getBoundingClientRect().bottom") < 800


def test_a_wall_is_used(browser, reference_page):
    browser.resize(3840, 2160)
    browser.open(reference_page)
    assert browser.run("return document.querySelector('main').getBoundingClientRect().width") > 1600
