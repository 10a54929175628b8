"""Pages: their policy, their text, their size, and what they do with runs of any kind."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from bench.analysis.statistics import Interval
from bench.report.figures import figure as figures
from bench.report.html.axis import Axis, fit_axis, format_tick
from bench.report.html.drawings import draw_figure, explain_figure
from bench.report.html.page import (
    Command,
    Folded,
    Heading,
    Notice,
    Page,
    Section,
    Switch,
    Text,
    Tick,
    TickRow,
    Ticks,
    When,
)
from bench.report.html.page_writer import MOST_BYTES, render_page, write_page
from bench.report.html.run_file import format_run
from bench.report.html.svg_element import make_element
from bench.report.html.visible_text import make_visible
from bench.report.tables import Cell, Column, Table
from tests.bench.example_records import TASK, died, launches, record

VOID = {"meta", "link", "input", "br", "img", "hr"}
INTERVAL = Interval(1.2, 1.1, 1.3)
FIGURES = (
    figures.ForestPlot("forest", "how", "x", (figures.ForestRow("keras/default", INTERVAL, "1.2", note="a note"),)),
    figures.ForestPlot("none", "how", "x", (figures.ForestRow("keras/default", None, "not comparable"),)),
    figures.ForestPlot("plain", "how", "MB", (figures.ForestRow("a run", Interval(-3, -4, 1), "-3"),), 0.0, False),
    figures.DotPlot(
        "dots",
        "how",
        "x",
        (figures.DotRow("keras/default", (figures.DotGroup("launch 1", (1.0, 1.1), 1.05),), INTERVAL, "1.2"),),
    ),
    figures.StackedBars("stacks", "how", "s", ("a", "b"), (figures.StackedBar("keras/default", (1.0, 0.0), "1 s"),)),
    figures.GroupedBars("groups", "how", "MB", (figures.BarGroup("import", (figures.Bar("mine", 3.0, "3", 2.0),)),)),
    figures.LinePlot(
        "lines",
        "how",
        "epoch",
        "accuracy",
        (figures.Line("keras/default", (figures.Point(1, 70.0, 69.0, 71.0), figures.Point(2, 75.0))),),
        target=73.0,
        target_label="target",
    ),
    figures.HeatMap(
        "heat", "how", "batch", "rate", "accuracy", ("32", "64"), ("0.1",), ((70.0, None),), (("70", "–"),), (0, 0)
    ),
    figures.Waterfall("steps", "how", "x", (figures.WaterfallStep("layout", 1.0, 1.4, "1.4", INTERVAL),)),
)
TABLE = Table("a table", (Column("case", False), Column("s")), ((Cell("a"), Cell("1", bold=True)),), ("note",))
BLOCKS = (
    Heading("heading"),
    Text("text"),
    Command("bench run"),
    Notice("keras/default", "busy-machine", "evidence", "close them"),
    Ticks("ticks", "how", (TickRow("keras/default", "proven", (Tick("forward", True, "0 of 1"),)),)),
    Folded("more", (Text("folded"),)),
    When({"kind": "compute"}, (TABLE,)),
    *FIGURES,
)


class Reader(HTMLParser):
    """Reads a page, and notes what is not closed, every identifier and every reference to one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.identifiers: Counter[str] = Counter()
        self.references: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.note(attrs)

    def handle_startendtag(self, tag, attrs):
        self.note(attrs)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def note(self, attrs):
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.identifiers[value] += 1
            elif name in ("aria-labelledby", "aria-describedby"):
                self.references.add(value)


@pytest.fixture(scope="module")
def text() -> str:
    return render_page(
        Page(
            title="a page",
            facts="facts",
            verdict=("The answer.", "And more."),
            opening=BLOCKS,
            sections=(Section("one", BLOCKS), Section("two", ())),
            switches=(Switch("kind", "Kind", (("pipeline", "with"), ("compute", "without"))),),
            banner="a caution",
            command="bench run",
            closing=(Text("end"),),
        )
    )


def test_a_page_of_every_block_is_well_formed(text):
    read = Reader(text)
    assert (read.wrong, read.open) == ([], [])
    assert {name: n for name, n in read.identifiers.items() if n > 1} == {}
    assert read.references <= set(read.identifiers)
    assert read.attributes.isdisjoint({"style", "onclick", "onload", "src"})


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(text):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1].replace("&#39;", "'")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.S)
        checksum = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{checksum}'"
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert not re.search(r"https?://(?!www\.w3\.org)", text)


def test_every_figure_has_a_name_a_text_and_a_sentence(text):
    assert text.count("How to read this:") == 2 * (len(FIGURES) + 1)
    # The heat map is a table of its own.
    assert text.count('role="img"') == 2 * (len(FIGURES) - 1)
    for words in ("1.2 (a note)", "75 at 2", "of it a 1.00", "import: mine 3", "layout: 1.4", "target 73"):
        assert words in text


def test_a_choice_that_is_not_the_first_is_hidden_at_first(text):
    assert re.search(r'<div data-when-kind="compute" data-when hidden>', text)


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("plain äöü 漢字 – ×", "plain äöü 漢字 – ×"),
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("\x00\x1b[0m\r", "⟨U+0000⟩⟨U+001B⟩[0m⟨U+000D⟩"),
        ("two\nlines\tand", "two\nlines\tand"),
        ("\ud800", "⟨U+D800⟩"),
    ],
)
def test_what_cannot_be_seen_is_made_visible(text, visible):
    assert make_visible(text) == visible


def test_an_element_escapes_text_and_values():
    made = make_element("text", "<b>&", class_='a" onload="x', x=1.0)
    assert made == '<text class="a&#34; onload=&#34;x" x="1">&lt;b&gt;&amp;</text>'


@pytest.mark.parametrize(
    ("values", "options", "ticks"),
    [
        ([1.3, 4.1, 1.0], {"logarithmic": True}, [1, 1.5, 2, 3]),
        ([0.98, 1.05], {"logarithmic": True}, [0.98, 1.0, 1.02, 1.04]),
        ([0.94, 1.52], {"logarithmic": True}, [1, 1.2, 1.4]),
        ([1e-15, 1], {"logarithmic": True}, [1e-15]),
        ([1e-14, 3e-14], {}, [2e-14]),
        ([0.001, 1000], {"logarithmic": True}, [0.001, 0.01, 0.1, 1, 10, 100, 1000]),
        ([0, 73.8], {"zero": True}, [0, 20, 40, 60]),
        ([5.0], {}, None),
        ([], {}, None),
        ([], {"logarithmic": True}, [0.5, 1, 2]),
    ],
)
def test_ticks_are_round_and_on_the_axis(values, options, ticks):
    axis = fit_axis(values, **options)
    made = axis.ticks()
    assert 2 <= len(made) <= 8
    assert all(axis.low <= tick <= axis.high for tick in made)
    assert all(0 <= axis.share(value) <= 1 for value in values)
    assert len({format_tick(tick) for tick in made}) == len(made)
    if ticks:
        assert set(ticks) <= set(made)


def test_an_interval_that_goes_beyond_the_axis_is_explained():
    cut_off = "goes on beyond the axis"
    wide, narrow = Interval(1.2, 0.001, 1000.0), INTERVAL
    for interval, expected in ((wide, True), (narrow, False)):
        forest = figures.ForestPlot("forest", "how", "x", (figures.ForestRow("keras/default", interval, ""),))
        groups = (figures.DotGroup("launch 1", (1.0, 1.4), 1.2),)
        dots = figures.DotPlot("dots", "how", "x", (figures.DotRow("keras/default", groups, interval, ""),))
        assert (cut_off in explain_figure(forest)) is expected
        assert (cut_off in explain_figure(dots)) is (interval is wide)
        assert cut_off in render_page(Page("a", "b", (), (forest,))) or not expected


def test_two_lines_of_one_colour_differ_in_the_legend():
    lines = tuple(
        figures.Line("keras/default", (figures.Point(1, at), figures.Point(2, at + 1)), label=f"line {at}")
        for at in (1, 5)
    )
    drawn = str(draw_figure(figures.LinePlot("lines", "how", "x", "y", lines)))
    entries = re.findall(r"<li .*?</li>", drawn)
    assert ["stroke-dasharray" in entry for entry in entries] == [False, True]


def test_what_lies_beyond_an_axis_is_at_its_end():
    assert Axis(1, 10, True).share(1e9) == 1
    assert Axis(0, 10).share(-5) == 0


def test_the_report_of_the_largest_run_is_small_enough_and_says_what_it_leaves_out():
    records = [
        each
        for variant in "abcd"
        for backend in ("pytorch", "keras")
        for each in launches(backend, 12, variant=variant, rounds=60)
    ]
    text = format_run(records)
    assert len(text.encode()) <= MOST_BYTES
    assert re.search(r"[\d,]+ of 5,760 rounds are not drawn", text)


def test_a_report_that_would_be_too_large_has_less_in_it_and_says_so():
    other = TASK.model_copy(update={"name": "other", "batch_size": 8})
    records = [
        each
        for task in (TASK, other)
        for variant in "abcd"
        for backend in ("pytorch", "keras")
        for each in launches(backend, 12, variant=variant, task=task)
    ]
    text = format_run(records)
    assert len(text.encode()) <= MOST_BYTES
    assert "each launch as a row, which results.csv, beside it, has" in text
    assert "the choice of what ratios are relative to, which" in text
    assert 'data-switch="reference"' not in text
    assert 'data-switch="reference"' in format_run(records[:96])
    assert "Left out" not in format_run(records[:24])


def test_the_report_of_many_tasks_has_ratios_and_tables_and_says_where_its_figures_are():
    tasks = [TASK.model_copy(update={"name": f"task {number}", "batch_size": number + 1}) for number in range(7)]
    records = [
        each
        for task in tasks
        for variant in "abcd"
        for backend in ("pytorch", "keras")
        for each in launches(backend, 2, variant=variant, task=task)
    ]
    text = format_run(records)
    assert len(text.encode()) <= MOST_BYTES
    assert "the figures below the ratios, which bench plot draws" in text
    titles = re.findall("<figcaption[^>]*>([^<]*)<", text)
    assert set(titles) == {"Throughput, × pytorch/a", "Compute throughput, × pytorch/a", "Proof of sameness"}
    assert titles.count("Throughput, × pytorch/a") == titles.count("Compute throughput, × pytorch/a") == 7
    for table in ("Throughput", "Accuracy", "Memory", "Start-up", "Parity"):
        assert f"{table}: task 6" in text


@pytest.mark.parametrize(
    "records",
    [
        [record()],
        [died(record(), "import", "ImportError: it", ["last", "lines"])],
        launches("keras", 3),
        launches("pytorch", 3, task=TASK.model_copy(update={"weights": "random"}), correct=None),
        [
            each.model_copy(update={"about": {"run": "x", "cpu": [1], "gpus": [{"name": "H"}, 3], "packages": 7}})
            for each in launches("pytorch", 3)
        ],
        [
            each.model_copy(update={"memory": None, "start_up": None, "proof": None, "fine_tunes": ()})
            for each in launches("pytorch", 3)
        ],
        [each.model_copy(update={"resolved": {}, "backend": "jax"}) for each in launches("pytorch", 3)],
    ],
    ids=["one launch", "dead", "no reference", "random weights", "an odd environment", "little measured", "a new one"],
)
def test_a_run_of_any_kind_has_a_page(records):
    read = Reader(format_run(records))
    assert (read.wrong, read.open) == ([], [])


def test_the_page_does_not_depend_on_when_it_is_made():
    assert format_run(launches("pytorch", 3)) == format_run(launches("pytorch", 3))


def test_a_page_is_written(tmp_path):
    write_page(tmp_path / "page.html", Page(title="\ud800", facts="", verdict=()))
    assert "⟨U+D800⟩" in (tmp_path / "page.html").read_text(encoding="utf-8")
