"""The explanation of a tuned variant, on a simulated machine."""

from __future__ import annotations

import io
import math
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.analysis import warnings
from bench.analysis.warning_summary import format_warning
from bench.errors import UserError
from bench.plan.task_table import TASKS
from bench.report.terminal import render_table
from bench.tune import stored_explanation
from bench.tune.crew_launch import CrewMeasurer, LaunchResult, merge_crews
from bench.tune.explanation import explain
from bench.tune.explanation_advice import advise
from bench.tune.explanation_output import check_plot_file, keep
from bench.tune.explanation_tables import build_break_even_table, build_effect_table
from bench.tune.launch_warnings import sum_up_launches
from bench.tune.stored_explanation import StoredExplanation
from tests.bench.processes import suite_file
from tests.bench.tune.simulated_machine import DEFAULT, STEP, SimulatedMachine


def test_the_speedups_of_single_knobs_multiply_to_that_of_the_tuned_variant():
    knobs = {"precision": "bf16", "execution": "torchscript", "layout": "nhwc"}
    machine = SimulatedMachine(together={("bf16", "nhwc"): 1.2})
    effects = explain(DEFAULT, knobs, CrewMeasurer(machine.launch).measure).effects
    assert [effect.value for effect in effects] == ["bf16", "torchscript", "nhwc"]
    over_previous = [effect.over_previous.estimate for effect in effects]
    assert over_previous == pytest.approx([1.5, 1.3, 1.1 * 1.2], rel=0.02)
    assert effects[-1].over_default.estimate == pytest.approx(math.prod(over_previous), rel=0.02)
    assert effects[0].over_without.estimate == pytest.approx(1.5 * 1.2, rel=0.02), "without bf16, nhwc gains less"


def test_compile_time_is_amortised_after_the_steps_that_save_as_much():
    machine = SimulatedMachine({"compiled": 1.5, "bf16": 2.0}, noise=0.001, start_s=4.0, compile_s=10.0)
    explanation = explain(DEFAULT, {"precision": "bf16", "execution": "compiled"}, CrewMeasurer(machine.launch).measure)
    whole, compiling = explanation.start_ups
    assert (whole.label, compiling.label) == ("tuned / default", "tuned / without compiled")
    saved = STEP - STEP / 3
    assert whole.first_start.steps == pytest.approx(20 / saved, rel=0.02), "the first time it costs twice as much"
    assert whole.later_starts.steps == pytest.approx(10 / saved, rel=0.02)
    assert compiling.later_starts.steps == pytest.approx(10 / (STEP / 2 - STEP / 3), rel=0.05)
    shown = print_to_text(build_break_even_table("here", explanation.start_ups, 100))
    assert "epochs" in shown
    assert "+10.0" in shown
    assert "[least–most]" in shown


def test_compile_time_without_faster_steps_is_never_amortised():
    machine = SimulatedMachine({"compiled": 0.8}, noise=0.001, start_s=4.0, compile_s=10.0)
    explanation = explain(DEFAULT, {"execution": "compiled"}, CrewMeasurer(machine.launch).measure)
    assert explanation.start_ups[0].first_start.describe() == "never: longer start-up and slower steps"


def test_launches_that_are_too_few_give_no_verdict_and_a_warning(monkeypatch):
    """Two launches of a noisy machine were shown as `no difference found`, with an interval of many times."""
    monkeypatch.setattr("bench.tune.explanation.LAUNCHES", 2)
    machine = SimulatedMachine({"compiled": 1.5}, noise=0.3)
    explanation = explain(DEFAULT, {"execution": "compiled"}, CrewMeasurer(machine.launch).measure)
    shown = print_to_text(build_break_even_table("here", explanation.start_ups, 100))
    assert "unknown: not enough launches to tell" in shown
    assert "no difference" not in shown
    assert "(not enough launches to tell)" in print_to_text(build_effect_table("here", explanation))
    assert [format_warning(warning) for warning in explanation.warnings] == [
        "warning few-launches, 2 launches finished; run the command again"
    ]


def test_warnings_of_a_searchs_launches_are_summed_up():
    """One line for each name, with the variants and the launches that have it; a launch of two crews counts once."""
    busy, knob = (
        warnings.make_warning(name, evidence)
        for name, evidence in (("busy-machine", "others used 9 %"), ("knob-without-effect", "layout nhwc: nchw"))
    )
    crews = [
        LaunchResult(
            names=("default", other),
            rounds=1,
            seconds={"default": (1.0,), other: (1.0,)},
            start_s={},
            start_up_s={},
            problems={},
            wall_s=1.0,
            warnings={"default": (busy,), other: found},
        )
        for other, found in (("nhwc", (busy, knob)), ("bf16", (busy,)))
    ]
    quiet = crews[0].model_copy(update={"warnings": {}})
    assert [format_warning(one) for one in sum_up_launches([merge_crews(crews), quiet], 3, "use more")] == [
        "warning few-launches, 3 launches finished; use more",
        f"warning busy-machine, every variant, 1 of 2 launches: others used 9 %; {busy.advice}",
        f"warning knob-without-effect, nhwc, 1 of 2 launches: layout nhwc: nchw; {knob.advice}",
    ]
    assert sum_up_launches([quiet], 4, "use more") == ()


def print_to_text(table) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(render_table(table))
    return console.file.getvalue()


def test_explaining_an_untuned_backend_ends_in_one_line(tmp_path, monkeypatch, command_line, arithmetic_here):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    refused = command_line("explain", "--suite", suite_file(tmp_path), "--backend", "keras")
    assert refused.status == 2
    assert refused.err.strip() == "bench: cifar10-resnet18 was not tuned here: run bench tune --backend keras"


def test_the_plots_file_is_checked_before_and_an_older_one_stays(tmp_path):
    tuned = SimpleNamespace(backend="pytorch", task="tutorial")
    older = tmp_path / "plot.png"
    older.write_text("older")
    assert check_plot_file(older, tuned, several=False) == older
    assert check_plot_file(older, tuned, several=True) == tmp_path / "plot-pytorch-tutorial.png"
    assert check_plot_file(None, tuned, several=False) is None
    assert older.read_text() == "older"
    with pytest.raises(UserError, match=r"^cannot write .*/plot.png: it is no folder: choose another one$"):
        check_plot_file(older / "plot.png", tuned, several=False)


def store(folder, knobs, machine) -> StoredExplanation:
    task = TASKS["cifar10-resnet18"]
    one = StoredExplanation(
        measured="2026-11-27T12:00:00+00:00",
        about={"cpu": {"model": "a CPU", "cores_usable": 2}, "gpus": []},
        backend="pytorch",
        task=task,
        steps_in_epoch=100,
        launches=4,
        rounds=4,
        explanation=explain(DEFAULT, knobs, CrewMeasurer(machine.launch).measure),
    )
    (folder / stored_explanation.FOLDER).mkdir(exist_ok=True)
    assert list(keep(folder, one, None)) == []
    return one


KNOBS = {"precision": "bf16", "execution": "torchscript", "layout": "nhwc"}


def test_an_explanation_is_shown_again_from_its_file_as_it_was(tmp_path, command_line):
    folder = tmp_path / "20261127T120000Z-explain"
    folder.mkdir()
    one = store(folder, KNOBS, SimulatedMachine(noise=0.03, dead=("nhwc",)))
    assert stored_explanation.read_all(folder) == ([one], [])
    assert (folder / f"{one.name}.png").read_bytes().startswith(b"\x89PNG"), "the waterfall, with a knob that died"
    shown = command_line("show", folder.name, "--results", tmp_path)
    assert shown.status == 0
    assert "layout nhwc" in shown.out
    assert "died" in shown.out
    assert "What to do: precision bf16, execution torchscript, layout nhwc: a worker died" in " ".join(
        shown.out.split()
    )
    assert max(map(len, shown.out.splitlines())) <= 80
    (file,) = (folder / stored_explanation.FOLDER).iterdir()
    file.write_text(file.read_text().replace("bf16", "fp16"))
    refused = command_line("show", folder.name, "--results", tmp_path)
    assert refused.status == 2
    assert "has no explanation that can be read: run bench explain again" in refused.err


def test_files_that_cannot_be_written_are_lines_and_the_tables_stand(tmp_path):
    one = store(tmp_path, KNOBS, SimulatedMachine())
    lost, plot = tmp_path / "gone", tmp_path / "gone" / "plot.png"
    lines = list(keep(lost, one, plot))
    assert lines[0].startswith(f"warning: cannot write {lost / stored_explanation.FOLDER}/")
    assert any(line.startswith(f"warning: cannot write {plot}: No such file or directory: ") for line in lines)


def test_the_advice_keeps_what_certainly_helps_and_leaves_out_what_does_not():
    machine = SimulatedMachine({"bf16": 1.5, "conv_bn": 0.8, "nhwc": 1.0}, start_s=1.0, compile_s=0.0)
    knobs = {"precision": "bf16", "layout": "nhwc", "folding": "conv_bn"}
    explained = explain(DEFAULT, knobs, CrewMeasurer(machine.launch).measure)
    advice = advise(explained, 100)
    assert re.search(
        r"^What to do: keep precision bf16 \(1\.[45]\d \[.*\] × with it\); leave out folding conv_bn,", advice
    )
    assert "layout nhwc can be left out: no certain difference was found" in advice


def test_the_advice_names_the_shortest_training_that_the_start_up_is_worth():
    machine = SimulatedMachine({"compiled": 1.5, "bf16": 2.0}, noise=0.001, start_s=4.0, compile_s=10.0)
    explained = explain(DEFAULT, {"precision": "bf16", "execution": "compiled"}, CrewMeasurer(machine.launch).measure)
    steps = explained.start_ups[0].later_starts.steps
    assert f"for a training of less than {steps:,.0f} steps ({steps / 100:,.2g} epochs) use the default" in advise(
        explained, 100
    )


def test_the_advice_on_a_knob_whose_worker_died_is_to_run_again():
    machine = SimulatedMachine(dead=("nhwc",))
    advice = advise(explain(DEFAULT, {"layout": "nhwc"}, CrewMeasurer(machine.launch).measure), 100)
    assert advice == "What to do: layout nhwc: a worker died, so its effect is not known: run the command again."
