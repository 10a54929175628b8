"""Results of all commands but `bench run`, in folders as the commands leave them."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from backends.task import Variant
from bench.analysis.metrics import resolve_margins
from bench.gate import gate_output
from bench.gate.gate_report import Comparison
from bench.gate.judgement import Judgement, LaunchPair, judge_pairs
from bench.head_to_head import stored_targets
from bench.plan.request import Request
from bench.plan.task_table import TASKS
from bench.plan.tuned_variants import HistoryEntry, TunedVariant
from bench.records import store
from bench.records.checksummed_json import to_checksummed_json
from bench.records.launch_figures import LaunchFigures
from bench.records.record import MeasurementWarning
from bench.records.result_kinds import FOLDERS, ResultKind
from bench.report import exporters
from bench.sweep import sweep_record
from bench.sweep.sweep_options import SweepOptions
from bench.sweep.sweep_record import Epoch
from bench.tune import explanation_output, stored_explanation
from bench.tune.crew_launch import CrewMeasurer
from bench.tune.explanation import explain
from bench.tune.stored_explanation import StoredExplanation
from bench.tune.stored_tune import KIND, StoredTune
from tests.bench.example_records import QUIET
from tests.bench.head_to_head.test_target_standings import simulate
from tests.bench.sweep.test_sweep import make_record
from tests.bench.tune.simulated_machine import DEFAULT, SimulatedMachine

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
MARGINS = resolve_margins(())
BUSY = MeasurementWarning(name="busy-machine", evidence="other processes used 9 % of the CPU", advice="close them")


def describe(command: str, model: str = "a CPU") -> dict[str, object]:
    return {
        "time": NOW.isoformat(),
        "cpu": {"model": model, "cores_usable": 2},
        "memory": {"total": 24 * 2**30, "limit": None},
        "python": {"version": "3.11"},
        "packages": {"torch": "2.14.1"},
        "git": {"revision": "abc", "dirty": False},
        "gpus": [],
        "run": {"command": command},
    }


def make_folder(results: Path, kind: ResultKind) -> Path:
    return store.create_run(results, kind, NOW, FOLDERS[kind])


def make_judgement(case: str, slower: float, cases: int = 2, seed: int = 3) -> Judgement:
    """Judge a case whose steps take `slower` times as long, with noise of 1.5 %, until there is a verdict."""
    draw = random.Random(seed)

    def figures(factor: float) -> LaunchFigures:
        def noise(spread: float) -> float:
            return math.exp(draw.gauss(0, spread))

        return LaunchFigures(
            case,
            {
                "pipeline": tuple(0.03 * factor * noise(0.015) for _ in range(6)),
                "compute": tuple(0.026 * factor * noise(0.01) for _ in range(6)),
                "first-step": (0.5 * noise(0.1),),
                "host-memory": (1.2e9 * noise(0.004),),
            },
        )

    pairs: list[LaunchPair] = []
    while True:
        pairs.append(LaunchPair(figures(1), figures(slower), None, 11.0, QUIET))
        judgement = judge_pairs(pairs, MARGINS, cases, 0.01, last=len(pairs) >= 30)
        if judgement.verdict.value != "open":
            return judgement


def make_gate(results: Path, against: str = "origin/main", note: str = "the part that grew most is input") -> Path:
    judgements = [
        make_judgement("pytorch/default cifar10-resnet18", 1.05),
        make_judgement("keras/default cifar10-resnet18", 1.0),
    ]
    comparison = Comparison(against, {"commit": "abc"}, MARGINS, 0.01, (note,))
    about = describe(f"gate --against {against}")
    lines: list[str] = []
    gate_output.keep(results, None, NOW, about, comparison, judgements, None, lines.append)
    (folder,) = store.list_runs(results, FOLDERS["gate"])
    assert lines == [f"Results: {folder}"]
    return folder


def make_sweep(results: Path, target: float | None = 0.8, model: str = "a CPU") -> Path:
    folder = make_folder(results, "sweep")
    axes = {"learning_rate": ("0.01", "0.1"), "batch_size": ("8", "32")}
    SweepOptions(Request(tasks=["embedded"]), axes, target).write(folder)
    exporters.write_environment(folder, describe("sweep --task embedded", model), ())
    number = 0
    for rate in (0.01, 0.1):
        for size in (8, 32):
            number += 1
            task = TASKS["embedded"].model_copy(update={"learning_rate": rate, "batch_size": size})
            for backend, seconds in (("pytorch", 1.0), ("tensorflow", 1.4), ("keras", 1.6)):
                epochs = tuple(
                    Epoch(
                        train_loss=2 / at,
                        correct=int(1000 * 0.95 * (1 - math.exp(-at * rate * 20 / math.sqrt(size)))),
                        train_s=at * seconds * (1 + 4 / size),
                    )
                    for at in range(1, 9)
                )
                one = make_record(
                    number, backend=backend, task=task, task_hash=task.hash, epochs=epochs, test_images=1000,
                    warnings=(BUSY,) if backend == "keras" else (),
                )  # fmt: skip
                sweep_record.write_record(folder, one)
    return folder


def make_explanation(results: Path, knobs: Mapping[str, str] | None = None, dead: tuple[str, ...] = ()) -> Path:
    folder = make_folder(results, "explain")
    chosen = knobs or {"precision": "bf16", "execution": "compiled", "layout": "nhwc", "folding": "conv_bn"}
    factors = {"bf16": 1.5, "compiled": 1.3, "nhwc": 1.15, "conv_bn": 0.95}
    machine = SimulatedMachine(factors, noise=0.01, dead=dead, start_s=4, compile_s=12)
    one = StoredExplanation(
        measured=NOW.isoformat(),
        about=describe("explain --backend pytorch"),
        backend="pytorch",
        task=TASKS["cifar10-resnet18"],
        steps_in_epoch=12_500,
        launches=4,
        rounds=4,
        explanation=explain(DEFAULT, chosen, CrewMeasurer(machine.launch).measure),
    )
    assert list(explanation_output.keep(folder, one, None)) == []
    assert (folder / stored_explanation.FOLDER).is_dir()
    return folder


def make_tune(results: Path, note: str = "layout nhwc was not tried, there was no time left") -> Path:
    folder = make_folder(results, "tune")
    trials = (
        ("starting point", "compiled", 1.31, 1.2, 1.4), ("one knob", "bf16", 1.5, None, None),
        ("one knob", "nhwc", None, None, None), ("one knob", "conv_bn", 0.94, None, None),
        ("combined", "bf16+compiled", 1.98, 1.9, 2.06),
    )  # fmt: skip
    for backend, knobs in (("pytorch", {"precision": "bf16", "execution": "compiled"}), ("keras", {})):
        tuned = TunedVariant(
            backend=backend,
            task="cifar10-resnet18",
            task_hash=TASKS["cifar10-resnet18"].hash,
            device="cpu",
            threads=2,
            measured=NOW.isoformat(),
            machine={},
            versions={},
            knobs=knobs,
            speedup=1.95 if knobs else None,
            low=1.9 if knobs else None,
            high=2.0 if knobs else None,
            proof="proven",
            history=tuple(
                HistoryEntry(stage=stage, name=name, speedup=speedup, low=low, high=high)
                for stage, name, speedup, low, high in trials
            ),
            notes=(note,),
            warnings=(BUSY,),
            seconds=290.0,
        )
        one = StoredTune(about=describe("tune"), tuned=tuned)
        store.write_text(folder / FOLDERS["tune"] / f"{one.name}.json", to_checksummed_json(KIND, one))
    return folder


def make_roofline(results: Path) -> Path:
    """A roofline of one case, with seconds that are made up."""
    from types import SimpleNamespace

    from bench.plan.prepared_task import PreparedTask
    from bench.plan.suite import load
    from bench.roofline import roofline_file
    from bench.roofline.achieved_rates import compute_roofline
    from bench.roofline.rate_measurement import CaseMeasurement, list_round_kinds
    from bench.worker.step_work import Step

    folder = make_folder(results, "roofline")
    task, variant = TASKS["cifar10-resnet18"], Variant(threads=2)
    seconds = {
        kind: [[0.01 * (1 + 0.01 * (launch + round_)) for round_ in range(3)] for launch in range(3)]
        for kind in list_round_kinds(variant)
        if kind != "layers"
    }
    seconds["loader"] = [[0.009] * 3] * 3
    seconds["compute"] = [[0.004] * 3] * 3
    seconds["convolutions"] = [[0.003] * 3] * 3
    measured = CaseMeasurement("pytorch", variant, seconds)
    prepared = PreparedTask(
        task=task,
        overridden=(),
        dataset=SimpleNamespace(fingerprint="d"),
        checkpoint=SimpleNamespace(sha256="c"),
        fine_tune=False,
    )  # type: ignore[arg-type]
    of_task = roofline_file.TaskMeasurement(prepared, [compute_roofline(Step(task, variant), measured)], [measured], [])
    plan = SimpleNamespace(skipped={}, banner=None, suite=load("quick"), default=variant)
    roofline_file.write(folder, plan, describe("roofline"), "no clock", [of_task])  # type: ignore[arg-type]
    return folder


def make_targets(results: Path) -> Path:
    """A comparison of three tests, of which two are equally fast."""
    folder = stored_targets.create_folder(results, NOW)
    about = describe("run --target tests/test_steps.py::test_torch --target tests/test_steps.py::test_jax")
    stored_targets.write(folder, simulate(1.3, 1.0, 1.001).model_copy(update={"about": about}))
    return folder


MAKERS = {
    "sweep": make_sweep,
    "gate": make_gate,
    "tune": make_tune,
    "explain": make_explanation,
    "roofline": make_roofline,
    "run --target": make_targets,
}
