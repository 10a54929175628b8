"""The engines on a GPU, in minutes: `python -m tests.gpu.engines_on_gpu --out FOLDER` (`--help` lists the options).

It measures each backend's default and a fast variant, with the proof of sameness and the memory of the device, in
parts: a batch size in a precision each, and how far precisions move the features. Each part has a time limit and the
whole has a budget: what was not reached is listed. It leaves folders of runs, as `bench run` does, and `table.md`.

It runs from a folder of this project with its dependencies and frameworks on the path; nothing needs to be installed.
With `--device cpu` and small sizes it runs anywhere.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import backends
from backends.starting_points import STARTING_POINTS
from backends.task import Variant
from bench.analysis import warnings
from bench.machine.environment import describe_environment
from bench.measure.run import measure_launches
from bench.plan.plan import Plan, make_plan
from bench.plan.prepared_task import PreparedTask
from bench.plan.request import Request
from bench.plan.suite import Suite, SuiteEntry
from bench.plan.variants import explain_unsupported, make_name
from bench.records import store
from bench.records.record import Record
from bench.report import exporters
from bench.report.live.silent_progress import SilentProgress
from bench.report.tables import build_tables
from tests.gpu.gpu_table import format_table

PROJECT = Path(__file__).parents[2]
BACKENDS = ("pytorch", "lightning", "keras-torch", "keras-jax", "jax")
BATCH_SIZES = (128, 512)
PRECISIONS = ("fp32", "bf16", "tf32")
MINUTES, PART_SECONDS = 6.0, 170.0
ROUNDING = "rounding"
#: Seconds in which a part that is interrupted writes what it has, and seconds that the table takes.
GRACE_SECONDS, TABLE_SECONDS = 15.0, 5.0
#: Seconds of each backend in the part `rounding`.
ROUNDING_SECONDS = 45.0


@dataclass(frozen=True)
class ChosenPlan(Plan):
    """A plan that measures chosen cases only: each backend has a fast variant of its own."""

    chosen: frozenset[tuple[str, Variant]] = frozenset()

    def cases(self, prepared: PreparedTask) -> list[tuple[str, Variant]]:
        return [case for case in super().cases(prepared) if case in self.chosen]


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.part:
        measure_part(options)
        return 0
    began, end = time.monotonic(), time.monotonic() + 60 * options.minutes - TABLE_SECONDS
    options.out.mkdir(parents=True, exist_ok=True)
    results, missed = [], []
    for part in options.parts or list_parts(options):
        left = end - time.monotonic()
        limit = min(options.part_seconds, left) if part != ROUNDING else left
        results.append(run_rounding(options, left) if part == ROUNDING else run_part(options, part, limit))
        if results[-1]:
            missed.append(f"{part}: {results[-1]}")
        print(f"{time.monotonic() - began:.0f} s: {part}: {results[-1] or 'done'}", flush=True)
    (options.out / "table.md").write_text(format_table(options.out, missed, datetime.now(UTC)))
    print((options.out / "table.md").read_text())
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/gpu"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, nargs="+", default=BATCH_SIZES)
    parser.add_argument("--precision", nargs="+", default=PRECISIONS)
    parser.add_argument("--backend", nargs="+", default=BACKENDS)
    parser.add_argument("--parts", nargs="+", help="as 128,fp32 or rounding; all in their order by default")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--part-seconds", type=float, default=PART_SECONDS)
    parser.add_argument("--rounding-seconds", type=float, default=ROUNDING_SECONDS)
    parser.add_argument("--launches", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--round-seconds", type=float, default=0.3)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def list_parts(options: argparse.Namespace) -> list[str]:
    """The parts, what is wanted most first: each batch size in another precision, the features, and then the rest."""
    grid = [f"{size},{precision}" for precision in options.precision for size in options.batch_size]
    diagonal = [f"{s},{p}" for s, p in zip(options.batch_size, options.precision, strict=False)]
    return [*diagonal, ROUNDING, *(part for part in grid if part not in diagonal)]


def run_part(options: argparse.Namespace, part: str, limit: float) -> str:
    """Run a part in a process of its own; returns why it is not complete, or nothing."""
    if limit < 2 * GRACE_SECONDS:
        return "not reached"
    command = [sys.executable, "-m", "tests.gpu.engines_on_gpu", "--part", part, "--out", str(options.out)]
    command += ["--device", options.device, "--image-size", str(options.image_size), "--backend", *options.backend]
    command += ["--launches", str(options.launches), "--rounds", str(options.rounds)]
    command += ["--round-seconds", str(options.round_seconds)]
    return _run(command, limit - GRACE_SECONDS, options.out / f"{part}.log")


def run_rounding(options: argparse.Namespace, left: float) -> str:
    """Compute the features of each backend; returns why they are not complete, or nothing."""
    problems = []
    end = time.monotonic() + left
    for name in _list_usable(options.backend):
        limit = min(options.rounding_seconds, end - time.monotonic())
        if limit < GRACE_SECONDS:
            problems.append(f"{name} not reached")
            continue
        file = options.out / f"{ROUNDING}-{name}.json"
        command = [sys.executable, "-m", "tests.gpu.rounding", name, str(file), options.device, str(options.image_size)]
        environment = {**os.environ, **backends.REGISTRY[name].environment, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        if problem := _run(command, limit, file.with_suffix(".log"), environment):
            problems.append(f"{name} {problem}")
    return ", ".join(problems)


def _run(command: Sequence[str], limit: float, log: Path, environment: dict[str, str] | None = None) -> str:
    """Run a command with a time limit: it is interrupted then, and killed if that does not end it."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=PROJECT, stdout=output, stderr=output, env=environment, start_new_session=True
        )
        try:
            return "" if process.wait(limit) == 0 else f"failed with status {process.returncode}, see {log.name}"
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return f"cut off after {limit:.0f} s"


def _list_usable(names: Sequence[str]) -> list[str]:
    return [name for name in names if name in backends.REGISTRY and not backends.find_missing_packages(name)]


def measure_part(options: argparse.Namespace) -> None:
    """Measure a part, one case after the other: a part that is cut off keeps what it has, and a worker has the GPU."""
    batch_size, precision = options.part.split(",")
    task = {"weights": "random", "dataset": "digits", "image_size": options.image_size, "batch_size": int(batch_size)}
    chosen = Suite(
        name=f"gpu-{batch_size}-{precision}",
        description="The engines on a GPU",
        launches=options.launches,
        rounds=options.rounds,
        round_seconds=options.round_seconds,
        proof_steps=6,
        entries=(SuiteEntry(task="cifar10-resnet18", override=task, fine_tune=False),),
    )
    usable = _list_usable(options.backend)
    plan = make_plan(Request(suite=chosen, backends=usable, device=options.device, isolated=True, results=options.out))
    plan = choose_cases(plan, precision)
    run = store.create_run(options.out, plan.suite.name, datetime.now(UTC))
    about = describe_environment(plan.default.threads)
    about["run"] = {"command": "python -m tests.gpu.engines_on_gpu", "relative_to": plan.relative_to}
    exporters.write_environment(run, about, ())
    records: list[Record] = []
    try:
        for launch in measure_launches(plan, run, about, Progress(print)):
            records += launch
    finally:
        if records:
            records = warnings.add_run_warnings(sorted(records, key=lambda record: (record.case, record.launch)))
            tables = build_tables(records, plan.relative_to, plan.skipped, plan.banner)
            for record in records:
                store.write_record(run, record)
            exporters.write_report(run, exporters.Report(records, tables, plan.relative_to))


class Progress(SilentProgress):
    """As its base; also that a launch has started."""

    def start_launch(self, prepared: PreparedTask, launch: int, jobs: Sequence[object]) -> None:
        self.say(f"{datetime.now(UTC):%H:%M:%S} launch {launch}: {len(jobs)} cases of {prepared.task.name}")


def choose_cases(plan: Plan, precision: str) -> ChosenPlan:
    """The default of each backend in a precision, and a fast variant: the last of its starting points, which is the one
    for a GPU, without the knobs that this device or task does not support.
    """
    (prepared,) = plan.tasks
    cases: dict[tuple[str, Variant], None] = {}
    base = {} if precision == "fp32" else {"precision": precision}
    for backend in plan.backends:
        cases[(backend, _make_variant(plan, base))] = None
        knobs = dict(base)
        for knob, value in (STARTING_POINTS.get(backend) or ({},))[-1].items():
            longer = {**knobs, knob: value}
            if knob != "precision" and explain_unsupported(backend, _make_variant(plan, longer), prepared.task) is None:
                knobs = longer
        cases[(backend, _make_variant(plan, knobs))] = None
    known = {field.name: getattr(plan, field.name) for field in fields(plan)}
    known["variants"] = tuple(dict.fromkeys(variant for _, variant in cases))
    return ChosenPlan(**known, chosen=frozenset(cases))


def _make_variant(plan: Plan, knobs: dict[str, str]) -> Variant:
    settings = {"threads": plan.default.threads, "device": plan.default.device, "name": make_name(knobs) or "default"}
    return Variant.model_validate({**settings, **knobs})


if __name__ == "__main__":
    sys.exit(main())
