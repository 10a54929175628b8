"""The search for the fastest knobs, on a simulated machine."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest

from backends.starting_points import STARTING_POINTS
from bench.errors import UserError
from bench.tune import tuning
from bench.tune.crew_launch import CrewMeasurer
from bench.tune.journal import Journal
from bench.tune.search import search
from tests.bench.tune.simulated_machine import DEFAULT, SPEEDUPS, VALUES, SimulatedMachine


def run_search(
    machine: SimulatedMachine, values=None, budget=math.inf, compatible=lambda knobs: True, starting_points=()
):
    trials = []
    measure = CrewMeasurer(machine.launch).measure
    result = search(DEFAULT, values or VALUES, measure, trials.append, budget, compatible, starting_points)
    return result, trials


def find_best_speed(machine: SimulatedMachine, values) -> float:
    choices = [[None, *several] for several in values.values()]
    return max(machine.speed("+".join(filter(None, chosen))) for chosen in itertools.product(*choices))


def test_it_finds_the_knobs_that_help_and_no_others():
    result, trials = run_search(SimulatedMachine())
    assert set(result.knobs.values()) == {"bf16", "torchscript", "nhwc", "conv_bn"}
    assert result.speedup.low < 1.5 * 1.3 * 1.1 * 1.08 < result.speedup.high
    assert {trial.stage for trial in trials} >= {"one knob", "combination", "confirmation", "ablation"}
    assert result.notes == ()


def test_a_knob_that_makes_no_difference_stays_at_its_default():
    result, _ = run_search(SimulatedMachine({"bf16": 1.5}))
    assert dict(result.knobs) == {"precision": "bf16"}
    assert result.speedup.low > 1.4


def test_where_nothing_helps_the_default_stays():
    worse = {"compiled": 0.5, "torchscript": 0.9, "bf16": 0.2, "nhwc": 0.8, "conv_bn": 0.9, "inference_mode": 0.95}
    result, _ = run_search(SimulatedMachine(worse))
    assert result.knobs == {}


def test_noise_is_not_mistaken_for_a_gain():
    for seed in range(20):
        result, _ = run_search(SimulatedMachine({"none": 1.0}, noise=0.03, seed=seed))
        assert len(result.knobs) <= 1
        assert not result.knobs or result.speedup.estimate < 1.1


def test_a_knob_that_conflicts_with_a_better_one_is_left_out():
    """bf16 and conv_bn help alone, and hurt together."""
    result, _ = run_search(SimulatedMachine(together={("bf16", "conv_bn"): 0.7}))
    assert result.knobs["precision"] == "bf16"
    assert "folding" not in result.knobs


def test_another_value_of_a_knob_may_be_better_in_combination():
    machine = SimulatedMachine({**SPEEDUPS, "compiled": 1.2}, together={("compiled", "bf16"): 1.5})
    assert run_search(machine)[0].knobs["execution"] == "compiled"


def test_a_knob_that_is_slower_alone_may_help_in_combination():
    machine = SimulatedMachine({**SPEEDUPS, "nhwc": 0.8}, together={("nhwc", "bf16"): 1.7})
    assert run_search(machine)[0].knobs["layout"] == "nhwc"


def test_only_one_of_two_knobs_with_the_same_effect_is_kept():
    result, _ = run_search(
        SimulatedMachine({"bf16": 1.5, "nhwc": 1.2, "conv_bn": 1.2}, together={("nhwc", "conv_bn"): 1 / 1.2})
    )
    assert result.knobs["precision"] == "bf16"
    assert ("layout" in result.knobs) != ("folding" in result.knobs)


def test_knobs_that_contradict_each_other_are_never_tried_together():
    machine = SimulatedMachine()
    result, trials = run_search(machine, compatible=lambda knobs: not {"precision", "layout"} <= knobs.keys())
    assert set(result.knobs.values()) == {"bf16", "torchscript", "conv_bn"}, "the one that gains more stays"
    assert not [trial.name for trial in trials if {"bf16", "nhwc"} <= set(trial.name.split("+"))]


def test_a_variant_whose_worker_dies_is_reported_and_left_out():
    result, trials = run_search(SimulatedMachine(dead=("bf16",)))
    assert "precision" not in result.knobs
    assert result.knobs["execution"] == "torchscript"
    assert [(trial.speedup, trial.problem) for trial in trials if trial.name == "bf16"] == [(None, "planted")]


def test_variants_are_halved_and_rounds_doubled():
    machine = SimulatedMachine()
    run_search(machine)
    single, combined, halved = machine.launches[:3]
    assert (single.rounds, combined.rounds, halved.rounds) == (4, 4, 8)
    assert len(halved.names) < len(combined.names)


#: More knobs, some of whose values are compiled.
MANY = {**VALUES, "images": ["resident"], "execution": ["compiled", "compiled_frozen", "torchscript"]}


@pytest.mark.parametrize("budget", [60, 120, 180, 300, 600])
@pytest.mark.parametrize("compile_s", [0.0, 10.0, 20.0])
@pytest.mark.parametrize("points", [(), ({"precision": "bf16", "execution": "compiled"}, {"layout": "nhwc"})])
def test_everything_stays_within_the_budget_however_long_compiling_takes(budget, compile_s, points):
    machine = SimulatedMachine(
        {**SPEEDUPS, "compiled_frozen": 1.6, "resident": 1.2}, noise=0.02, start_s=4.5, compile_s=compile_s
    )
    result, _ = run_search(machine, MANY, budget, starting_points=points)
    assert machine.seconds < 1.1 * budget
    assert result.knobs or "time" in result.notes[-1]


def test_the_default_budget_leads_within_three_per_cent_of_the_best_combination():
    factors = {**SPEEDUPS, "compiled": 1.1, "compiled_frozen": 1.2, "resident": 1.15, "nhwc": 1.05}
    pairs = {("bf16", "compiled_frozen"): 1.25, ("bf16", "nhwc"): 1.1, ("torchscript", "nhwc"): 0.9}
    reached = []
    for seed in range(20):
        machine = SimulatedMachine(factors, noise=0.02, start_s=4.5, compile_s=8.0, together=pairs, seed=seed)
        result, _ = run_search(machine, MANY, 300)
        reached.append(machine.speed("+".join(result.knobs.values())) / find_best_speed(machine, MANY))
    assert np.median(reached) > 0.97, reached


def test_a_knob_that_spoils_another_is_left_out_even_if_it_is_harmless_alone():
    """A library that is slow in bfloat16 spoils bfloat16; most other knobs make little difference."""
    factors = {"bf16": 1.4, "product": 1.58, "normalised": 1.02, "eigen": 1.02, "tcmalloc": 1.01, "eager": 0.2}
    pairs = {("bf16", "eigen"): 0.45, ("bf16", "product"): 1.07, ("product", "normalised"): 1.02}
    values = {
        "precision": ["bf16"],
        "folding": ["product"],
        "images": ["normalised"],
        "kernels": ["eigen"],
        "inter_op": ["sequential"],
        "allocator": ["jemalloc", "tcmalloc", "hugepages"],
        "affinity": ["bound"],
        "execution": ["eager"],
    }
    reached = []
    for seed in range(20):
        machine = SimulatedMachine(factors, noise=0.02, start_s=3.5, together=pairs, seed=seed)
        result, _ = run_search(machine, values, 300)
        reached.append(machine.speed("+".join(result.knobs.values())) / find_best_speed(machine, values))
    assert min(reached) > 0.9, reached
    assert np.median(reached) > 0.97, reached


ALL = {"precision": "bf16", "execution": "torchscript", "layout": "nhwc", "folding": "conv_bn"}


def test_a_search_changes_single_knobs_of_the_fastest_starting_point():
    machine = SimulatedMachine({**SPEEDUPS, "inference_mode": 1.12})
    result, trials = run_search(machine, starting_points=[{"layout": "nhwc"}, {"execution": "compiled"}, ALL])
    assert result.knobs == {**ALL, "gradients": "inference_mode"}
    assert [trial.name for trial in trials[:3]] == ["nhwc", "compiled", "torchscript+bf16+nhwc+conv_bn"]
    alone = {trial.name: trial.speedup.estimate for trial in trials if trial.stage == "one knob"}
    assert set(alone) == {"torchscript+bf16+nhwc+conv_bn+inference_mode", "compiled+bf16+nhwc+conv_bn"}
    whole = 1.3 * 1.5 * 1.1 * 1.08
    assert alone["torchscript+bf16+nhwc+conv_bn+inference_mode"] == pytest.approx(1.12 * whole, rel=0.03)
    assert alone["compiled+bf16+nhwc+conv_bn"] == pytest.approx(whole / 1.3 * 0.5, rel=0.03), "as the default, too"


def test_starting_points_that_are_slower_than_the_default_are_not_used():
    result, trials = run_search(SimulatedMachine(), starting_points=[{"execution": "compiled"}])
    assert result.knobs == ALL
    assert len([trial for trial in trials if trial.name == "compiled"]) == 1, "a measured variant is not measured again"


def test_a_knob_of_a_starting_point_that_is_slower_here_is_left_out():
    result, _ = run_search(SimulatedMachine({**SPEEDUPS, "nhwc": 0.9}), starting_points=[ALL])
    assert result.knobs == {knob: value for knob, value in ALL.items() if knob != "layout"}


def test_values_that_a_backend_does_not_have_here_are_left_out_of_a_starting_point():
    result, trials = run_search(
        SimulatedMachine(), starting_points=[{**ALL, "images": "resident", "precision": "fp16"}]
    )
    assert trials[0].name == "torchscript+nhwc+conv_bn"
    assert result.knobs == ALL


def test_a_change_that_contradicts_the_starting_point_is_not_tried():
    _, trials = run_search(
        SimulatedMachine(),
        starting_points=[ALL],
        compatible=lambda knobs: not ("inference_mode" in knobs.values() and "layout" in knobs),
    )
    assert not [trial for trial in trials if {"inference_mode", "nhwc"} <= set(trial.name.split("+"))]


def test_with_too_many_knobs_for_the_budget_starting_points_lead_near_the_best_combination():
    factors = {"bf16": 1.27, "product": 1.5, "nhwc": 1.12, "normalised": 1.26, "resident": 1.25, "closed_form": 1.04}
    factors |= {"torchscript": 1.2, "onednn_graph": 1.25, "compiled": 1.05, "compiled_frozen": 1.3, "jemalloc": 0.85}
    values = {
        "precision": ["bf16"],
        "layout": ["nhwc"],
        "folding": ["conv_bn", "product"],
        "gradients": ["inference_mode", "closed_form"],
        "optimizer": ["fused"],
        "images": ["uint8", "resident", "normalised"],
        "prefetch": ["4", "8"],
        "allocator": ["jemalloc", "tcmalloc", "hugepages"],
        "execution": ["compiled", "compiled_frozen", "torchscript", "onednn_graph"],
    }
    reached: dict[bool, list[float]] = {True: [], False: []}
    for seed, with_points in itertools.product(range(10), reached):
        pairs = {("bf16", "nhwc"): 1.5, ("onednn_graph", "bf16"): 1.1}
        machine = SimulatedMachine(factors, noise=0.02, start_s=4.5, compile_s=15.0, together=pairs, seed=seed)
        result, _ = run_search(machine, values, 300, starting_points=STARTING_POINTS["pytorch"] if with_points else ())
        reached[with_points].append(machine.speed("+".join(result.knobs.values())) / find_best_speed(machine, values))
    assert np.median(reached[True]) > 0.95, reached
    assert np.median(reached[True]) > np.median(reached[False]) + 0.1, reached


def test_what_was_not_tried_says_what_it_needs_and_what_is_left():
    result, _ = run_search(SimulatedMachine(start_s=3.0, compile_s=8.0), budget=100)
    assert result.notes[0] == (
        "no time left to try torchscript: single knobs start only in the first 40 of 100 s, the rest is for what "
        "follows: use a larger --budget"
    )
    seconds = re.fullmatch(
        r"no time left to try other combinations: the next one takes about (\d+) s, and (\d+) s are left before the "
        r"confirmation and the proof: use a larger --budget",
        result.notes[1],
    )
    needed, left = map(int, seconds.groups())
    assert 3 * 3.0 <= needed <= 20.0, "three workers start, and run some rounds"
    assert left < needed


def test_a_budget_that_is_too_small_names_a_sufficient_one():
    result, _ = run_search(SimulatedMachine(start_s=5.0, compile_s=30.0), budget=70)
    assert result.knobs == {}
    assert "too little time to confirm" in result.notes[-1]
    assert "use a --budget of " in result.notes[-1]


def test_a_backend_without_knobs_keeps_its_default():
    assert run_search(SimulatedMachine(), values={"layout": []})[0].knobs == {}


def test_a_search_goes_on_without_its_journal(tmp_path):
    (tmp_path / "folder").mkdir()
    journal = Journal(tmp_path / "folder" / "a.unfinished", {}, SimulatedMachine().launch)
    journal.check_writable()
    (tmp_path / "folder").rmdir()
    (tmp_path / "folder").touch()
    assert search(DEFAULT, VALUES, CrewMeasurer(journal.launch).measure, lambda trial: None, 200).knobs
    assert journal.unwritten.startswith(f"cannot write {journal.file}")
    with pytest.raises(UserError, match="set HEADTOHEAD_HOME to a folder of yours"):
        journal.check_writable()


def test_a_result_that_cannot_be_saved_keeps_its_journal(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "a.unfinished", {}, SimulatedMachine().launch)
    journal.launch([DEFAULT], 1, False, math.inf)

    def refuse(_):
        raise UserError("the disk is full")

    monkeypatch.setattr(tuning, "_save", refuse)
    assert tuning._save_or_warn(None, journal).startswith("warning: the disk is full: the result is not saved; run ")
    assert journal.file.is_file()
    monkeypatch.setattr(tuning, "_save", lambda _: "Saved")
    assert tuning._save_or_warn(None, journal) == "Saved"
    assert not journal.file.exists()


def test_an_interrupted_search_resumes_from_its_last_launch(tmp_path):
    file, machine = tmp_path / "a.unfinished", SimulatedMachine(start_s=2.0)

    def resume_search(machine, stop_after=math.inf, torch="2"):
        def launch(*request):
            if len(machine.launches) == stop_after:
                raise KeyboardInterrupt
            return machine.launch(*request)

        journal = Journal(file, {"torch": torch}, launch)
        return search(DEFAULT, VALUES, CrewMeasurer(journal.launch).measure, lambda trial: None, 200), journal

    with pytest.raises(KeyboardInterrupt):
        resume_search(machine, stop_after=3)
    result, journal = resume_search(machine)
    assert journal.resumed == 3
    assert journal.launches == machine.launches, "none was measured twice"
    assert set(result.knobs.values()) == {"bf16", "torchscript", "nhwc", "conv_bn"}
    assert resume_search(SimulatedMachine(), torch="3")[1].problem == "torch was 2 and is 3"
    file.write_text(file.read_text()[:-100])
    assert resume_search(SimulatedMachine())[1].problem == "it is cut off or not JSON"
    journal.remove()
    assert not file.exists()
