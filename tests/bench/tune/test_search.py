"""The search for the fastest knobs, on steps whose times are known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from backends.starting_points import STARTING_POINTS
from bench.tune.crew_launch import Crews
from bench.tune.journal import Journal
from bench.tune.search import search
from tests.bench.tune.machine import DEFAULT, FACTORS, VALUES, Machine


def found(machine: Machine, values=None, budget=math.inf, possible=lambda knobs: True, points=()):
    trials = []
    result = search(DEFAULT, values or VALUES, Crews(machine.launch).measure, trials.append, budget, possible, points)
    return result, trials


def best_of_all(machine: Machine, values) -> float:
    choices = [[None, *several] for several in values.values()]
    return max(machine.speed("+".join(filter(None, chosen))) for chosen in itertools.product(*choices))


def test_all_knobs_that_help_are_found_and_no_other():
    result, trials = found(Machine())
    assert set(result.knobs.values()) == {"bf16", "torchscript", "nhwc", "conv_bn"}
    assert result.speedup.low < 1.5 * 1.3 * 1.1 * 1.08 < result.speedup.high
    assert {trial.stage for trial in trials} >= {"one knob", "together", "the fastest", "less"}
    assert result.notes == ()


def test_a_knob_that_makes_no_difference_stays_at_its_default():
    result, _ = found(Machine({"bf16": 1.5}))
    assert dict(result.knobs) == {"precision": "bf16"}
    assert result.speedup.low > 1.4


def test_where_nothing_helps_the_default_stays():
    worse = {"compiled": 0.5, "torchscript": 0.9, "bf16": 0.2, "nhwc": 0.8, "conv_bn": 0.9, "inference_mode": 0.95}
    result, _ = found(Machine(worse))
    assert result.knobs == {}


def test_noise_alone_is_not_taken_for_a_gain():
    for seed in range(20):
        result, _ = found(Machine({"none": 1.0}, noise=0.03, seed=seed))
        assert len(result.knobs) <= 1
        assert not result.knobs or result.speedup.estimate < 1.1


def test_a_knob_that_is_in_anothers_way_is_left_out():
    """bf16 and conv_bn help alone, and hurt together."""
    result, _ = found(Machine(together={("bf16", "conv_bn"): 0.7}))
    assert result.knobs["precision"] == "bf16"
    assert "folding" not in result.knobs


def test_another_value_of_a_knob_may_be_the_better_one_with_the_others():
    machine = Machine({**FACTORS, "compiled": 1.2}, together={("compiled", "bf16"): 1.5})
    assert found(machine)[0].knobs["execution"] == "compiled"


def test_a_knob_that_hurts_alone_may_help_with_the_others():
    machine = Machine({**FACTORS, "nhwc": 0.8}, together={("nhwc", "bf16"): 1.7})
    assert found(machine)[0].knobs["layout"] == "nhwc"


def test_of_two_knobs_that_do_the_same_one_is_enough():
    result, _ = found(Machine({"bf16": 1.5, "nhwc": 1.2, "conv_bn": 1.2}, together={("nhwc", "conv_bn"): 1 / 1.2}))
    assert result.knobs["precision"] == "bf16"
    assert ("layout" in result.knobs) != ("folding" in result.knobs)


def test_knobs_that_contradict_each_other_are_never_tried_together():
    machine = Machine()
    result, trials = found(machine, possible=lambda knobs: not {"precision", "layout"} <= knobs.keys())
    assert set(result.knobs.values()) == {"bf16", "torchscript", "conv_bn"}, "the one that gains more stays"
    assert not [trial.name for trial in trials if {"bf16", "nhwc"} <= set(trial.name.split("+"))]


def test_a_variant_whose_worker_dies_is_told_and_left_out():
    result, trials = found(Machine(dead=("bf16",)))
    assert "precision" not in result.knobs
    assert result.knobs["execution"] == "torchscript"
    assert [(trial.speedup, trial.problem) for trial in trials if trial.name == "bf16"] == [(None, "planted")]


def test_variants_are_halved_and_rounds_doubled():
    machine = Machine()
    found(machine)
    alone, together, halved = machine.launches[:3]
    assert (alone.rounds, together.rounds, halved.rounds) == (4, 4, 8)
    assert len(halved.names) < len(together.names)


#: As many knobs as there are, some of them compiled.
MANY = {**VALUES, "images": ["resident"], "execution": ["compiled", "compiled_frozen", "torchscript"]}


@pytest.mark.parametrize("budget", [60, 120, 180, 300, 600])
@pytest.mark.parametrize("dear_s", [0.0, 10.0, 20.0])
@pytest.mark.parametrize("points", [(), ({"precision": "bf16", "execution": "compiled"}, {"layout": "nhwc"})])
def test_the_budget_holds_for_everything_however_dear_compiling_is(budget, dear_s, points):
    machine = Machine({**FACTORS, "compiled_frozen": 1.6, "resident": 1.2}, noise=0.02, start_s=4.5, dear_s=dear_s)
    result, _ = found(machine, MANY, budget, points=points)
    assert machine.seconds < 1.1 * budget
    assert result.knobs or "time" in result.notes[-1]


def test_in_the_default_budget_the_best_of_all_is_found_within_three_per_cent():
    factors = {**FACTORS, "compiled": 1.1, "compiled_frozen": 1.2, "resident": 1.15, "nhwc": 1.05}
    pairs = {("bf16", "compiled_frozen"): 1.25, ("bf16", "nhwc"): 1.1, ("torchscript", "nhwc"): 0.9}
    reached = []
    for seed in range(20):
        machine = Machine(factors, noise=0.02, start_s=4.5, dear_s=8.0, together=pairs, seed=seed)
        result, _ = found(machine, MANY, 300)
        reached.append(machine.speed("+".join(result.knobs.values())) / best_of_all(machine, MANY))
    assert np.median(reached) > 0.97, reached


def test_what_spoils_another_one_is_left_out_though_alone_it_does_no_harm():
    """As bfloat16 without the library that is fast in it; most others do next to nothing."""
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
        machine = Machine(factors, noise=0.02, start_s=3.5, together=pairs, seed=seed)
        result, _ = found(machine, values, 300)
        reached.append(machine.speed("+".join(result.knobs.values())) / best_of_all(machine, values))
    assert min(reached) > 0.9, reached
    assert np.median(reached) > 0.97, reached


ALL = {"precision": "bf16", "execution": "torchscript", "layout": "nhwc", "folding": "conv_bn"}


def test_a_search_goes_on_from_the_fastest_starting_point_and_turns_its_knobs_alone():
    machine = Machine({**FACTORS, "inference_mode": 1.12})
    result, trials = found(machine, points=[{"layout": "nhwc"}, {"execution": "compiled"}, ALL])
    assert result.knobs == {**ALL, "gradients": "inference_mode"}
    assert [trial.name for trial in trials[:3]] == ["nhwc", "compiled", "torchscript+bf16+nhwc+conv_bn"]
    alone = {trial.name: trial.speedup.estimate for trial in trials if trial.stage == "one knob"}
    assert set(alone) == {"torchscript+bf16+nhwc+conv_bn+inference_mode", "compiled+bf16+nhwc+conv_bn"}
    whole = 1.3 * 1.5 * 1.1 * 1.08
    assert alone["torchscript+bf16+nhwc+conv_bn+inference_mode"] == pytest.approx(1.12 * whole, rel=0.03)
    assert alone["compiled+bf16+nhwc+conv_bn"] == pytest.approx(whole / 1.3 * 0.5, rel=0.03), "as the default, too"


def test_starting_points_that_are_slower_than_the_default_are_left():
    result, trials = found(Machine(), points=[{"execution": "compiled"}])
    assert result.knobs == ALL
    assert len([trial for trial in trials if trial.name == "compiled"]) == 1, "what is known is not measured again"


def test_a_starting_points_knob_that_is_no_good_here_is_left_out():
    result, _ = found(Machine({**FACTORS, "nhwc": 0.9}), points=[ALL])
    assert result.knobs == {knob: value for knob, value in ALL.items() if knob != "layout"}


def test_what_a_backend_cannot_turn_here_is_left_out_of_a_starting_point():
    result, trials = found(Machine(), points=[{**ALL, "images": "resident", "precision": "fp16"}])
    assert trials[0].name == "torchscript+nhwc+conv_bn"
    assert result.knobs == ALL


def test_what_contradicts_the_starting_point_is_not_tried_alone():
    _, trials = found(
        Machine(), points=[ALL], possible=lambda knobs: not ("inference_mode" in knobs.values() and "layout" in knobs)
    )
    assert not [trial for trial in trials if {"inference_mode", "nhwc"} <= set(trial.name.split("+"))]


def test_with_more_knobs_than_there_is_time_for_the_starting_points_lead_near_the_best_of_all():
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
    for seed, pointed in itertools.product(range(10), reached):
        pairs = {("bf16", "nhwc"): 1.5, ("onednn_graph", "bf16"): 1.1}
        machine = Machine(factors, noise=0.02, start_s=4.5, dear_s=15.0, together=pairs, seed=seed)
        result, _ = found(machine, values, 300, points=STARTING_POINTS["pytorch"] if pointed else ())
        reached[pointed].append(machine.speed("+".join(result.knobs.values())) / best_of_all(machine, values))
    assert np.median(reached[True]) > 0.95, reached
    assert np.median(reached[True]) > np.median(reached[False]) + 0.1, reached


def test_where_the_budget_decides_nothing_it_says_which_one_would():
    result, _ = found(Machine(start_s=5.0, dear_s=30.0), budget=70)
    assert result.knobs == {}
    assert "too little time to decide on" in result.notes[-1]
    assert "use a --budget of " in result.notes[-1]


def test_a_backend_without_knobs_stays_as_it_is():
    assert found(Machine(), values={"layout": []})[0].knobs == {}


def test_an_interrupted_search_goes_on_from_its_last_launch(tmp_path):
    file, machine = tmp_path / "a.unfinished", Machine(start_s=2.0)

    def searched(machine, stop_after=math.inf, torch="2"):
        def launch(*asked):
            if len(machine.launches) == stop_after:
                raise KeyboardInterrupt
            return machine.launch(*asked)

        journal = Journal(file, {"torch": torch}, launch)
        return search(DEFAULT, VALUES, Crews(journal.launch).measure, lambda trial: None, 200), journal

    with pytest.raises(KeyboardInterrupt):
        searched(machine, stop_after=3)
    result, journal = searched(machine)
    assert journal.found == 3
    assert journal.done == machine.launches, "none was measured twice"
    assert set(result.knobs.values()) == {"bf16", "torchscript", "nhwc", "conv_bn"}
    assert searched(Machine(), torch="3")[1].problem == "torch was 2 and is 3"
    file.write_text(file.read_text()[:-100])
    assert searched(Machine())[1].problem == "it is cut off or not JSON"
    journal.remove()
    assert not file.exists()
