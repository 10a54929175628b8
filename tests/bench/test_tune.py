"""The search for the fastest knobs, on steps whose times are known; what it found, kept and used."""

from __future__ import annotations

import io
import itertools
import math
import signal
from datetime import UTC, datetime

import numpy as np
import pytest
from rich.console import Console

from backends.task import Variant
from bench import resume, store, tuned
from bench.commands import tune as command
from bench.commands.explain import break_even_table
from bench.commands.list import show_list
from bench.environment import environment, fingerprint
from bench.errors import UserError
from bench.request import Request, plan
from bench.sealed import unseal
from bench.tune import waterfall
from bench.tune.explain import explain
from bench.tune.launched import NOT_TRIED, Crews, Launched
from bench.tune.search import search
from bench.tune.unfinished import Journal, Unfinished
from bench.tuned import Tuned
from tests.bench.made import record
from tests.bench.processes import Bench, arithmetic, living, suite_file, wait_until

DEFAULT = Variant(threads=2)
VALUES = {
    "precision": ["bf16"],
    "layout": ["nhwc"],
    "folding": ["conv_bn"],
    "gradients": ["inference_mode"],
    "execution": ["compiled", "torchscript"],
}
#: How many times as fast a step is with each knob alone; what is not here makes no difference.
FACTORS = {"torchscript": 1.3, "compiled": 0.5, "bf16": 1.5, "nhwc": 1.1, "conv_bn": 1.08}
#: Seconds of the default's step.
STEP = 0.03


class Machine:
    """Steps that take what the knobs say, and some noise a launch and a round; starts of `start_s`, and of `dear_s`
    more for what is compiled, twice that the first time.
    """

    def __init__(self, factors=None, noise=0.003, dead=(), together=None, start_s=1.0, dear_s=0.0, seed=0) -> None:
        self.factors, self.noise, self.dead, self.together = factors or FACTORS, noise, dead, together or {}
        self.start_s, self.dear_s = start_s, dear_s
        self.draw = np.random.default_rng(seed)
        self.launches: list[Launched] = []
        self.compiled: set[str] = set()

    @property
    def seconds(self) -> float:
        return sum(launch.wall_s for launch in self.launches)

    def speed(self, name: str) -> float:
        values = set(name.split("+"))
        speed = math.prod(self.factors.get(value, 1.0) for value in values)
        return speed * math.prod(f for pair, f in self.together.items() if set(pair) <= values)

    def launch(self, crew, rounds, reverse_start=False, start_within=math.inf) -> Launched:
        starts, seconds, problems = {}, {}, {}
        for name in (variant.name for variant in crew):
            if sum(starts.values()) > start_within:
                problems[name] = NOT_TRIED
                continue
            starts[name] = self.start(name)
            if set(self.dead) & set(name.split("+")):
                problems[name] = "planted"
            else:
                seconds[name] = self.steps(name, rounds)
        fastest = min(min(steps) for steps in seconds.values())
        in_rounds = sum(0.3 * step / fastest for steps in seconds.values() for step in steps)
        self.launches.append(
            Launched(
                names=tuple(variant.name for variant in crew),
                rounds=rounds,
                seconds=seconds,
                start_s=starts,
                start_up_s=starts,
                problems=problems,
                wall_s=sum(starts.values()) + in_rounds,
            )
        )
        return self.launches[-1]

    def start(self, name: str) -> float:
        if "compiled" not in name:
            return self.start_s
        first = name not in self.compiled
        self.compiled.add(name)
        return self.start_s + self.dear_s * (2 if first else 1)

    def steps(self, name: str, rounds: int) -> tuple[float, ...]:
        noise = self.noise * self.draw.standard_normal() + self.noise * self.draw.standard_normal(rounds)
        return tuple((np.exp(noise) * STEP / self.speed(name)).tolist())


def found(machine: Machine, values=None, budget=math.inf, possible=lambda knobs: True):
    trials = []
    result = search(DEFAULT, values or VALUES, Crews(machine.launch).measure, trials.append, budget, possible)
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
def test_the_budget_holds_for_everything_however_dear_compiling_is(budget, dear_s):
    machine = Machine({**FACTORS, "compiled_frozen": 1.6, "resident": 1.2}, noise=0.02, start_s=4.5, dear_s=dear_s)
    result, _ = found(machine, MANY, budget)
    assert machine.seconds < 1.1 * budget
    assert result.knobs or "too little time to decide" in result.notes[-1]


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
    waterfall.draw(told, "pytorch, planted\na machine", tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")


def printed(table) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    return console.file.getvalue()


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


def test_what_decided_nothing_does_not_replace_what_was_found_before(kept):
    tuned.keep(kept)
    undecided = kept.model_copy(update={"knobs": {}, "speedup": None, "low": None, "high": None, "notes": ("no time",)})
    assert command._kept(undecided).endswith("2026-11-26T12:00:00+00:00 stays: conv_bn")
    assert tuned.load(kept.backend, kept.task_hash) == kept
    nothing_gains = undecided.model_copy(update={"notes": ()})
    assert command._kept(nothing_gains).startswith("Kept in ")
    assert tuned.load(kept.backend, kept.task_hash) == nothing_gains


def asked(**options):
    return plan(Request(tasks=["embedded"], overrides={"weights": "random"}, variants=["tuned"], **options))


def test_what_was_found_is_run_as_tuned_and_who_has_not_been_is_left_out(kept):
    tuned.keep(kept)
    made = asked()
    ((backend, variant),) = made.cases(made.tasks[0])
    assert (backend, variant.name, variant.folding) == ("keras", "tuned", "conv_bn")
    assert made.skipped["pytorch/tuned"] == "embedded was not tuned here: run bench tune --backend pytorch"


def test_a_run_is_not_resumed_with_what_was_tuned_anew_since(kept, tmp_path):
    tuned.keep(kept)
    request = Request(tasks=["embedded"], overrides={"weights": "random"}, variants=["tuned"], backends=["keras"])
    chosen = plan(request)
    ((_, variant),) = chosen.cases(chosen.tasks[0])
    run = store.create(tmp_path / "results", "small", datetime.now(UTC))
    same = {
        "task": chosen.tasks[0].task,
        "task_hash": kept.task_hash,
        "variant": variant,
        "dataset_fingerprint": chosen.tasks[0].dataset.fingerprint,
        "checkpoint_hash": chosen.tasks[0].checkpoint.sha256,
        "about": {"run": {}},
    }
    store.write_record(run, record("keras").model_copy(update=same))
    assert len(resume.resumed(run, request, {}).done) == 1
    tuned.keep(kept.model_copy(update={"knobs": {"execution": "xla"}}))
    with pytest.raises(UserError, match=r"cannot be resumed, .*: what is tuned was found anew since"):
        resume.resumed(run, request, {})


def test_what_was_kept_is_listed_and_a_damaged_file_with_its_reason(kept, capsys):
    tuned.keep(kept)
    other = tuned.keep(kept.model_copy(update={"backend": "pytorch"}))
    other.write_text("{")
    show_list("tuned", other.parent)
    assert "folding" not in (shown := capsys.readouterr().out)
    assert "conv_bn" in shown
    assert "1.100 [1.050–1.150]" in shown
    show_list("variants", other.parent)
    shown = " ".join(capsys.readouterr().out.split())
    assert "folding conv_bn; 1.100 [1.050–1.150] × the default's steps; found 2026-11-26 12:00 UTC by 0 trials" in shown
    assert "it is cut off or not JSON): run bench tune again" in shown


def test_tuned_is_refused_where_nobody_has_been(kept):
    with pytest.raises(UserError, match="no backend can run variant tuned: embedded was not tuned here"):
        asked()


def test_a_file_from_another_machine_is_refused(kept):
    other = kept.model_copy(update={"machine": {**kept.machine, "CPU": "another"}})
    tuned.keep(other).rename(tuned.file("keras", kept.task_hash, kept.machine))
    with pytest.raises(UserError, match="is from another machine: run bench tune on this one"):
        asked()


def test_a_file_that_another_machine_left_in_a_home_of_both_is_not_taken(kept):
    tuned.keep(kept.model_copy(update={"machine": {**kept.machine, "CPU": "another"}}))
    with pytest.raises(UserError, match="embedded was tuned on another machine and not on this one: run bench tune"):
        asked(backends=["keras"])


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
    monkeypatch.setattr("bench.tune.search.PROOF_SECONDS", 1.0)
    assert command.tune(25.0, False, suite=str(suite_file(tmp_path)), backends=["keras"]) == 0
    printed = capsys.readouterr().out
    assert "one knob: conv_bn: " in printed
    assert "Kept in " in printed
    (file,) = (tmp_path / "home" / tuned.FOLDER).iterdir()  # nothing else: it is finished
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


@pytest.mark.slow
def test_a_killed_tune_goes_on_and_measures_nothing_again(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("HEADTOHEAD_HOME", str(home))
    arguments = ("tune", "--suite", suite_file(tmp_path), "--backend", "keras", "--budget", "10m")

    def unfinished():
        return list(home.glob("tuned/*.unfinished"))

    with Bench(*arguments, cwd=tmp_path) as bench:
        bench.until(unfinished)
        workers = bench.workers()
        bench.process.send_signal(signal.SIGKILL)
        bench.end(10)
        assert wait_until(lambda: not living(workers), 5), "workers end by themselves"
    (file,) = unfinished()
    before = unseal("unfinished", file.read_bytes(), Unfinished, 1).launches

    with Bench(*arguments, cwd=tmp_path) as bench:
        bench.until(lambda: "Going on from an interrupted tune" in bench.stdout)
        bench.process.send_signal(signal.SIGINT)
        assert bench.end() == 130, bench.stdout + bench.stderr
    assert f"interrupted tune: {len(before)} launches" in bench.stdout
    after = unseal("unfinished", file.read_bytes(), Unfinished, 1).launches
    assert after[: len(before)] == before
