"""Figures as files: every kind can be drawn, has its text, and comes out the same again."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from bench.analysis.statistics import Interval
from bench.errors import UserError
from bench.report.figures import figure as figures
from bench.report.figures.case_colours import BACKEND_COLOURS
from bench.report.html.page import Folded, Page, Section, Switch, When
from bench.report.plots.plot_file import FORMATS, draw_plot, list_figures, make_name, write_plot
from tests.bench.processes import PROJECT
from tests.bench.report.html.test_page import FIGURES

REFERENCE = PROJECT / "results" / "reference"
ABOUT = "Run 1 · 2026-11-27 12:00 UTC · a CPU, 2 cores · torch 2.14"
HOSTILE = "</text><script>alert(1)</script> $\\frac{1}{0}$ \u202e ★"


def read_texts(svg: bytes) -> str:
    return " ".join(text for element in ElementTree.fromstring(svg).iter() for text in [element.text or ""])


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.title)
def test_every_kind_of_figure_is_drawn_with_its_text(figure):
    svg = draw_plot(figure, ".svg", ABOUT)
    texts = read_texts(svg)
    for text in (figure.title, figure.how_to_read, "a CPU, 2 cores"):
        assert text in texts
    assert (figure.x_title if hasattr(figure, "x_title") else "") in texts
    assert draw_plot(figure, ".svg", ABOUT) == svg, "the same figure gives the same bytes"
    image = np.asarray(Image.open(io.BytesIO(draw_plot(figure, ".png", ABOUT))).convert("RGB"))
    assert (image[:4] == 255).all(), "the margin is white"
    assert (image < 250).any()


def make_forest(case: str = "keras/default", label: str = "", text: str = "1.2") -> figures.ForestPlot:
    return figures.ForestPlot("t", "how", "x", (figures.ForestRow(case, Interval(1.2, 1.1, 1.3), text, label),))


@pytest.mark.parametrize("backend", BACKEND_COLOURS)
def test_a_framework_has_its_colour_in_every_kind(backend):
    case = f"{backend}/default"
    line = figures.LinePlot("t", "how", "x", "y", (figures.Line(case, (figures.Point(1, 1), figures.Point(2, 3))),))
    dots = figures.DotPlot(
        "t", "how", "x", (figures.DotRow(case, (figures.DotGroup("1", (1.0, 2.0), 1.5),), None, "1"),)
    )
    bars = figures.GroupedBars("t", "how", "x", (figures.BarGroup("g", (figures.Bar(case, 1.0, "1"),)),))
    for figure in (make_forest(case), line, dots, bars):
        assert BACKEND_COLOURS[backend] in draw_plot(figure, ".svg").decode()


def test_a_hostile_name_stays_text():
    svg = draw_plot(make_forest(label=HOSTILE, text=HOSTILE), ".svg", HOSTILE)
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
    assert "script" not in tags
    texts = re.sub(r"\s+", " ", read_texts(svg))
    assert "$\\frac{1}{0}$" in texts, "it is no formula"
    assert "⟨U+202E⟩" in texts


def test_long_names_and_figures_are_on_the_picture():
    text = "no change that matters: 0.1 % faster (99 % interval -1.6 … 1.9 %)"
    figure = make_forest(label=20 * "a long name ", text=text)
    image = np.asarray(Image.open(io.BytesIO(draw_plot(figure, ".png", ABOUT))).convert("L"))
    assert (image[:, :6] == 255).all(), "nothing is cut off at the left"
    assert (image[:, -6:] == 255).all(), "nothing is cut off at the right"


def test_lines_that_coincide_can_all_be_seen():
    points = (figures.Point(1, 1.0), figures.Point(2, 3.0))
    cases = [f"{backend}/default" for backend in BACKEND_COLOURS]
    figure = figures.LinePlot("t", "how", "x", "y", tuple(figures.Line(case, points) for case in cases))
    image = np.asarray(Image.open(io.BytesIO(draw_plot(figure, ".png"))).convert("RGB")).reshape(-1, 3)
    for colour in BACKEND_COLOURS.values():
        rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        assert (image == rgb).all(axis=1).sum() > 500, colour


def test_figures_are_listed_as_the_page_shows_them_at_first():
    first, second, third = (make_forest(label=name) for name in "abc")
    page = Page(
        "t",
        "f",
        (),
        opening=(first,),
        sections=(
            Section("s", (Folded("more", (second,)), When({"kind": "b"}, (third,)), When({"kind": "a"}, (first,)))),
        ),
        switches=(Switch("kind", "Kind", (("a", "A"), ("b", "B"))),),
    )
    assert list_figures(page) == [first, second], "each once, and none of a switch that is not set"
    assert list_figures(page, {"kind": "b"}) == [first, second, third]


def test_a_name_of_a_file_is_short_and_plain():
    assert make_name(3, make_forest()) == "03-t"
    long = figures.ForestPlot(f"Ratio, × {'a/b ' * 50}", "", "", ())
    assert re.fullmatch(r"12-ratio-a-b[a-b-]{1,60}", make_name(12, long))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_plot_that_cannot_be_written_is_one_line(tmp_path, suffix):
    file = tmp_path / f"plot{suffix}"
    write_plot(make_forest(), file)
    assert file.read_bytes()[:8].startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])
    with pytest.raises(UserError, match=r"^cannot write .*: No such file or directory: choose a folder"):
        write_plot(make_forest(), tmp_path / "gone" / "plot.svg")


def test_the_figure_of_the_readme_is_that_of_the_reference_run(command_line, tmp_path):
    (run,) = REFERENCE.iterdir()
    (stored,) = (run / "plots").iterdir()
    written = command_line(
        "plot", run.name, "--results", REFERENCE, "--figure", "throughput, ×", "--format", "svg", "--output", tmp_path
    )
    assert (written.status, written.err) == (0, "")
    file = tmp_path / stored.name
    assert written.out == f"Written: {file}\n"
    # Another version of matplotlib may draw it otherwise, but not with other figures.
    assert read_texts(file.read_bytes()).split() == read_texts(stored.read_bytes()).split()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--figure", "nonsense"), "no figure of 20261126T164841Z-quick has a title with 'nonsense': choose from "),
        (("--format", "gif"), "unknown format 'gif': use one of svg, png, pdf"),
        (("--output", "one.svg"), "--output one.svg is the file of one figure in its own format: choose one with "),
        (
            ("--output", "one.JPG", "--figure", "memory"),
            "unknown format 'jpg': did you mean 'png'? Use one of svg, png, pdf",
        ),
        (("--kind", "loader"), "unknown value of --kind 'loader': use one of pipeline, compute"),
        (("--relative-to", "mxnet"), "unknown backend 'mxnet': use one of "),
    ],
)
def test_a_mistake_is_one_line(command_line, tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    refused = command_line("plot", "--results", REFERENCE, *arguments)
    assert refused.status == 2
    assert refused.err.startswith(f"bench: {line}"), refused.err
    assert list(Path().iterdir()) == []


def test_one_figure_goes_into_the_file_that_the_user_names(command_line, tmp_path):
    file = tmp_path / "ratios.pdf"
    written = command_line("plot", "--results", REFERENCE, "--figure", "throughput, ×", "--output", file)
    assert written.out == f"Written: {file}\n"
    assert file.read_bytes().startswith(b"%PDF")
    file = tmp_path / "RATIOS.PNG"
    written = command_line("plot", "--results", REFERENCE, "--figure", "throughput, ×", "--output", file)
    assert written.out == f"Written: {file}\n"
    assert file.read_bytes().startswith(b"\x89PNG")


def test_the_figures_of_compute_alone_are_plotted_too(command_line, tmp_path):
    options = ("plot", "--results", REFERENCE, "--figure", "throughput", "--format", "svg", "--output", tmp_path)
    assert command_line(*options).status == 0
    assert command_line(*options, "--kind", "compute").status == 0
    assert {file.name for file in tmp_path.iterdir()} == {
        "01-throughput-pytorch-default.svg",
        "01-compute-throughput-pytorch-default.svg",
        "02-throughput-of-every-round-pipeline.svg",
        "02-throughput-of-every-round-compute.svg",
    }
    compute = read_texts((tmp_path / "01-compute-throughput-pytorch-default.svg").read_bytes())
    assert "compute throughput as a multiple of pytorch/default" in " ".join(compute.split())
    assert "2.30 [1.23–4.30]" in compute
