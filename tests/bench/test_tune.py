"""The search for the fastest knobs, on steps whose times are known; what it found, kept and used."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from backends.task import Variant
from bench import tuned
from bench.commands import tune as command
from bench.environment import environment, fingerprint
from bench.errors import UserError
from bench.request import Request, plan
from bench.sealed import unseal
from bench.tune import measure
from bench.tune import search as search_module
from bench.tune.explain import explain
from bench.tune.search import search
from bench.tuned import Tuned
from tests.bench.processes import Bench, arithmetic, suite_file

DEFAULT = Variant(threads=2)
VALUES = {
    "execution": ["compiled", "torchscript"],
    "precision": ["bf16"],
    "layout": ["nhwc"],
    "folding": ["conv_bn"],
    "gradients": ["inference_mode"],
}
#: How many times as fast a step is with each knob alone; what is not here makes no difference.
FACTORS = {"torchscript": 1.3, "compiled": 0.5, "bf16": 1.5, "nhwc": 1.1, "conv_bn": 1.05}


class Machine:
    """Steps that take what the knobs say, and some noise a launch and a round."""

    def __init__(self, factors=None, noise=0.003, dead=(), together=None) -> None:
        self.factors, self.noise, self.dead, self.together = factors or FACTORS, noise, dead, together or {}
        self.draw = np.random.default_rng(0)
        self.measured: list[tuple[int, int, int]] = []

    def speed(self, variant: Variant) -> float:
        values = () if variant.name == "default" else tuple(variant.name.split("+"))
        speed = math.prod(self.factors.get(value, 1.0) for value in values)
        return speed * math.prod(f for pair, f in self.together.items() if set(pair) <= set(values))

    def measure(self, variants, launches, rounds):
        self.measured.append((len(variants), launches, rounds))

        def seconds(variant):
            launch = self.noise * self.draw.standard_normal()
            noise = launch + self.noise * self.draw.standard_normal(rounds)
            return (np.exp(noise) / self.speed(variant)).tolist()

        return {
            variant.name: [seconds(variant) for _ in range(launches)]
            for variant in variants
            if not set(self.dead) & set(variant.name.split("+"))
        }


def found(machine: Machine, values=None, over=lambda: False):
    trials = []
    result = search(DEFAULT, values or VALUES, machine.measure, trials.append, over)
    return result, trials


def test_all_knobs_that_help_are_found_and_no_other():
    result, trials = found(Machine())
    assert set(result.knobs.values()) == {"bf16", "torchscript", "nhwc", "conv_bn"}
    assert result.speedup.low < 1.5 * 1.3 * 1.1 * 1.05 < result.speedup.high
    assert {trial.stage for trial in trials} >= {"one knob", "together", "the fastest", "without bf16"}


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
        machine = Machine({"none": 1.0}, noise=0.03)
        machine.draw = np.random.default_rng(seed)
        result, _ = found(machine)
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


def test_a_variant_whose_worker_dies_is_told_and_left_out():
    result, trials = found(Machine(dead=("bf16",)))
    assert "precision" not in result.knobs
    assert result.knobs["execution"] == "torchscript"
    assert [trial.speedup for trial in trials if trial.name == "bf16"] == [None]


def test_rounds_are_doubled_and_variants_halved_until_the_time_is_over():
    patient, hasty = Machine(), Machine()
    found(patient)
    found(hasty, over=lambda: True)
    together = [entry for entry in patient.measured if entry[1] == 1][1:]
    assert len(together) > 1
    for (more, _, few), (less, _, many) in itertools.pairwise(together):
        assert less < more
        assert many == 2 * few
    assert len([entry for entry in hasty.measured if entry[1] == 1]) == 2


def test_a_backend_without_knobs_stays_as_it_is():
    assert found(Machine(), values={"layout": []})[0].knobs == {}


def test_the_steps_from_default_to_tuned_multiply_to_the_whole():
    knobs = {"precision": "bf16", "execution": "torchscript", "layout": "nhwc"}
    steps = explain(DEFAULT, knobs, Machine(together={("bf16", "nhwc"): 1.2}).measure)
    assert [step.value for step in steps] == ["bf16", "torchscript", "nhwc"]
    by_itself = [step.by_itself.estimate for step in steps]
    assert by_itself == pytest.approx([1.5, 1.3, 1.1 * 1.2], rel=0.02)
    assert steps[-1].so_far.estimate == pytest.approx(math.prod(by_itself), rel=0.02)
    assert steps[0].without.estimate == pytest.approx(1.5 * 1.2, rel=0.02), "without bf16, nhwc gains less"


@pytest.fixture
def kept(tmp_path, monkeypatch) -> Tuned:
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    task = plan(Request(tasks=["embedded"], overrides={"weights": "random"})).tasks[0].task
    about = fingerprint(environment())
    return Tuned(
        backend="keras",
        task=task.name,
        task_hash=task.hash,
        measured="2026-11-26T12:00:00+00:00",
        machine=about["machine"],
        versions=about["versions"],
        knobs={"folding": "conv_bn"},
        speedup=1.1,
        low=1.05,
        high=1.15,
        proof="proven",
        history=(),
    )


def asked(**options):
    return plan(Request(tasks=["embedded"], overrides={"weights": "random"}, variants=["tuned"], **options))


def test_what_was_found_is_run_as_tuned_and_who_has_not_been_is_left_out(kept):
    tuned.keep(kept)
    made = asked()
    ((backend, variant),) = made.cases(made.tasks[0])
    assert (backend, variant.name, variant.folding) == ("keras", "tuned", "conv_bn")
    assert made.skipped["pytorch/tuned"] == "embedded was not tuned here: run bench tune --backend pytorch"


def test_tuned_is_refused_where_nobody_has_been(kept):
    with pytest.raises(UserError, match="no backend can run variant tuned: embedded was not tuned here"):
        asked()


def test_a_file_from_another_machine_is_refused(kept):
    other = kept.model_copy(update={"machine": {**kept.machine, "CPU": "another"}})
    tuned.keep(other).rename(tuned.file("keras", kept.task_hash, kept.machine))
    with pytest.raises(UserError, match="is from another machine: run bench tune on this one"):
        asked()


def test_a_file_that_was_edited_is_refused(kept):
    path = tuned.keep(kept)
    path.write_text(path.read_text().replace("conv_bn", "none"))
    with pytest.raises(UserError, match="its checksum does not fit"):
        asked(backends=["keras"])


@pytest.mark.slow
def test_tuning_what_a_knob_makes_no_faster_keeps_the_default(tmp_path, monkeypatch, capsys):
    """Arithmetic takes all knobs and heeds none."""
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", arithmetic({})["PYTHONPATH"])
    monkeypatch.setattr(command, "SEARCHED", ("folding",))
    monkeypatch.setattr(command, "IMAGES", 8)
    monkeypatch.setattr(command, "STEPS", 5)
    # Where noise lets the knob look helpful, it is measured again, in so many launches.
    monkeypatch.setattr(search_module, "LAUNCHES", 2)
    monkeypatch.setattr(measure, "ROUND_SECONDS", 0.05)
    assert command.tune(1.0, False, suite=str(suite_file(tmp_path)), backends=["keras"]) == 0
    printed = capsys.readouterr().out
    assert "one knob: conv_bn: " in printed
    assert "Kept in " in printed
    (file,) = (tmp_path / "home" / tuned.FOLDER).iterdir()
    kept = unseal(tuned.KIND, file.read_bytes(), Tuned, tuned.SCHEMA)
    assert kept.proof == "proven"
    assert kept.history[0].name == "conv_bn"
    assert kept.speedup is None or kept.speedup < 1.2


def test_a_file_with_a_knob_of_another_time_is_refused(kept):
    tuned.keep(kept.model_copy(update={"knobs": {"folding": "by hand"}}))
    with pytest.raises(UserError, match="turns knobs that are not there any more: run bench tune again"):
        asked(backends=["keras"])


@pytest.mark.slow
def test_tuning_where_the_default_itself_dies_is_one_line(tmp_path):
    arguments = ("tune", "--suite", suite_file(tmp_path), "--backend", "keras")
    with Bench(*arguments, cwd=tmp_path, PLANTED_KERAS="raise in build") as bench:
        assert bench.end() == 2
    assert bench.stderr.strip() == "bench: the worker of keras's default died: run bench run --backend keras"


def test_explaining_what_was_never_tuned_is_one_line(tmp_path, monkeypatch, command_line, arithmetic_here):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    refused = command_line("explain", "--suite", suite_file(tmp_path), "--backend", "keras")
    assert refused.status == 2
    assert refused.err.strip() == "bench: cifar10-resnet18 was not tuned here: run bench tune --backend keras"
