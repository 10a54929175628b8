"""Which knob does it, on steps whose times are known."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from bench.cli.explain import break_even_table
from bench.tune import waterfall_plot
from bench.tune.crew_launch import Crews
from bench.tune.explanation import explain
from tests.bench.processes import suite_file
from tests.bench.tune.machine import DEFAULT, STEP, Machine


def test_the_steps_from_default_to_tuned_multiply_to_the_whole():
    knobs = {"precision": "bf16", "execution": "torchscript", "layout": "nhwc"}
    steps = explain(DEFAULT, knobs, Crews(Machine(together={("bf16", "nhwc"): 1.2}).launch).measure).steps
    assert [step.value for step in steps] == ["bf16", "torchscript", "nhwc"]
    by_itself = [step.by_itself.estimate for step in steps]
    assert by_itself == pytest.approx([1.5, 1.3, 1.1 * 1.2], rel=0.02)
    assert steps[-1].so_far.estimate == pytest.approx(math.prod(by_itself), rel=0.02)
    assert steps[0].without.estimate == pytest.approx(1.5 * 1.2, rel=0.02), "without bf16, nhwc gains less"


def test_a_start_that_compiles_has_paid_after_the_steps_that_its_gain_takes():
    machine = Machine({"compiled": 1.5, "bf16": 2.0}, noise=0.001, start_s=4.0, dear_s=10.0)
    told = explain(DEFAULT, {"precision": "bf16", "execution": "compiled"}, Crews(machine.launch).measure)
    whole, compiling = told.paid
    assert (whole.what, compiling.what) == ("tuned / default", "tuned / without compiled")
    saved = STEP - STEP / 3
    assert whole.first.steps == pytest.approx(20 / saved, rel=0.02), "the first time it costs twice as much"
    assert whole.again.steps == pytest.approx(10 / saved, rel=0.02)
    assert compiling.again.steps == pytest.approx(10 / (STEP / 2 - STEP / 3), rel=0.05)
    shown = printed(break_even_table("here", told.paid, 100))
    assert "epochs" in shown
    assert "+10.0" in shown
    assert "[least–most]" in shown


def test_what_is_no_faster_never_pays():
    machine = Machine({"compiled": 0.8}, noise=0.001, start_s=4.0, dear_s=10.0)
    told = explain(DEFAULT, {"execution": "compiled"}, Crews(machine.launch).measure)
    assert told.paid[0].first.told() == "never: dearer and slower"


def test_a_waterfall_is_drawn_with_a_knob_whose_worker_died(tmp_path):
    knobs = {"precision": "bf16", "execution": "torchscript", "layout": "nhwc"}
    told = explain(DEFAULT, knobs, Crews(Machine(noise=0.03, dead=("nhwc",)).launch).measure)
    waterfall_plot.draw(told, "pytorch, planted\na machine", tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")


def printed(table) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    return console.file.getvalue()


def test_explaining_what_was_never_tuned_is_one_line(tmp_path, monkeypatch, command_line, arithmetic_here):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    refused = command_line("explain", "--suite", suite_file(tmp_path), "--backend", "keras")
    assert refused.status == 2
    assert refused.err.strip() == "bench: cifar10-resnet18 was not tuned here: run bench tune --backend keras"
