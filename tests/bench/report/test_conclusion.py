"""The end of a run on a terminal: on one screen what it found, what to beware of, and what to do next."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from backends.task import Task
from bench.analysis.warnings import make_warning
from bench.machine.environment import describe_environment
from bench.plan.task_table import TASKS
from bench.records.record import Record
from bench.report.conclusion import print_conclusion, print_heading
from bench.report.exporters import Report
from bench.report.next_steps import list_next_steps
from bench.report.run_heading import build_heading
from bench.report.run_warnings import list_run_warnings
from bench.report.tables import build_tables
from tests.bench.example_records import TASK, died, launches, record

BANNER = (
    "Offline suite: CIFAR-10 could not be downloaded: give its folder with --data-dir, or connect the machine. Until "
    "then these figures are of what needs no download: ResNet-18 with random weights for speed and memory, `embedded` "
    "for accuracy."
)
RUN = Path("results/20260102T030405Z-offline")
RANDOM = Task(**TASK.model_dump() | {"weights": "random", "dataset": "digits"})
ABOUT = describe_environment() | {"run": {"command": "run", "relative_to": "pytorch", "banner": BANNER}}
BUSY = make_warning("busy-machine", "other processes used 12 % of the CPU for 61 s")
STEAL = make_warning("steal-time", "the hypervisor took 2.3% of the CPU time")
DRIFT = make_warning("drifting-rounds", "pipeline rounds became 7% slower, p = 0.004")
FEW = make_warning("few-launches", "3 launches finished")


def measure_offline_suite(count: int = 3, noise: float = 0.01) -> list[Record]:
    """The default run without a network: two tasks with three backends each, and five warnings."""
    made = []
    for position, (task, correct) in enumerate(((RANDOM, None), (TASKS["embedded"], 7012))):
        for backend, step_ms in (("pytorch", 5.0), ("tensorflow", 5.1), ("keras", 6.4)):
            warnings = [BUSY, STEAL, FEW, make_warning("offline-suite", BANNER)]
            warnings += [DRIFT] if backend == "keras" else []
            made += [
                each.model_copy(update={"position": position, "about": ABOUT})
                for each in launches(
                    backend, count, task=task, correct=correct, step_ms=step_ms, warnings=warnings, noise=noise
                )
            ]
    return made


def conclude(records: list[Record], full: bool = False, width: int = 80, heading: bool = False, run: Path = RUN) -> str:
    console = Console(file=io.StringIO(), width=width)
    if heading:
        print_heading(console, records)
    report = Report(records, build_tables(records, banner=BANNER), "pytorch")
    print_conclusion(console, run, report, full)
    return console.file.getvalue()


@pytest.mark.parametrize("noise", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("count", [2, 3, 6])
def test_the_end_of_the_default_run_is_one_screen(count, noise):
    lines = conclude(measure_offline_suite(count, noise)).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80


def test_the_verdict_comes_first_and_what_to_do_last():
    text = conclude(measure_offline_suite())
    assert text.startswith("cifar10-resnet18: At batch 4 ")
    assert text.splitlines()[-2:] == [
        "Faster settings: bench tune",
        "All tables:      bench show --full 20260102T030405Z-offline",
    ]
    assert text.index("\nembedded: ") < text.index("\ncifar10-resnet18: batch 4, 32 px, digits, random weights\n")


def test_cases_are_called_the_same_everywhere():
    text = conclude(measure_offline_suite()) + conclude(measure_offline_suite(), full=True)
    assert all(f"{backend}/default" in text for backend in ("pytorch", "tensorflow", "keras"))
    assert "cifar10-resnet18/pytorch" not in text
    assert "pytorch-default" not in text


def test_two_warnings_are_shown_with_what_to_do_and_one_about_the_whole_machine_once():
    text = " ".join(conclude(measure_offline_suite()).split())
    assert text.count("busy-machine") == text.count("steal-time") == 1
    assert "• warning busy-machine, whole run: other processes used 12 % of the CPU for 61 s; close them" in text
    assert "• 2 more: few-launches, drifting-rounds" in text
    assert "offline-suite" not in text


def test_the_offline_box_stands_once():
    for full in (False, True):
        text = " ".join(conclude(measure_offline_suite(), full, heading=True).replace("│", " ").split())
        assert text.count("Until then these figures are of what needs no download") == 1
    assert "Until then" not in conclude(measure_offline_suite(), full=True)


def test_all_tables_are_printed_with_full_and_none_is_broken():
    records = measure_offline_suite()
    text = conclude(records, full=True, width=100)
    tables = build_tables(records)
    assert sum(set(line.strip()) == {"─"} for line in text.splitlines()) == len(tables)
    assert "bench show --full" not in text
    assert " ".join(tables[0].title.split()) in " ".join(text.split())


@pytest.mark.parametrize("failed", [False, True])
def test_only_what_was_measured_can_be_tuned(tmp_path, failed):
    about = {"run": {"command": "bench run --suite gate --backend pytorch"}}
    made = died(record(), "build", "RuntimeError: boom", ()) if failed else record()
    one = made.model_copy(update={"about": about})
    steps = list_next_steps(tmp_path, [one], full=True)
    assert steps.get("Faster settings") == (None if failed else "bench tune --suite gate --backend pytorch")


def test_a_report_that_exists_is_named(tmp_path):
    run = tmp_path / "results" / "r"
    run.mkdir(parents=True)
    steps = list_next_steps(run, [record()], full=False)
    assert steps == {"All tables": f"bench show --full --results {run.parent} r"}
    (run / "tables.md").touch()
    assert list_next_steps(run, [record()], full=True) == {"Report": str(run / "tables.md")}
    (run / "report.html").touch()
    assert list_next_steps(run, [record()], full=True) == {"Report": str(run / "report.html")}


@pytest.mark.parametrize(
    ("command", "tune"),
    [
        ("run", "bench tune"),
        ("run --suite quick --launches 6 --until 2%", "bench tune --suite quick"),
        ("run --task embedded --task=tutorial --strict", "bench tune --task embedded --task=tutorial"),
        ("run --knob precision=bf16 --data-dir 'my images' --wait", "bench tune --data-dir 'my images'"),
    ],
)
def test_tuning_is_proposed_for_what_was_measured(command, tune):
    made = record().model_copy(update={"about": {"run": {"command": command}}})
    assert list_next_steps(RUN, [made], full=True)["Faster settings"] == tune
    hidden = made.model_copy(update={"about": {"run": {"command": "run --data-dir …/images"}}})
    assert "Faster settings" not in list_next_steps(RUN, [hidden], full=True)
    tuned = record(variant="tuned").model_copy(update={"about": made.about})
    assert "Faster settings" not in list_next_steps(RUN, [made, tuned], full=True)


def test_a_warning_names_the_cases_that_have_it():
    def describe(*cases: Record) -> str:
        return list_run_warnings(cases)[0].where

    calm, drifting = record("keras"), record("pytorch", warnings=[DRIFT])
    assert describe(drifting, calm) == "pytorch/default"
    assert describe(drifting, record("keras", warnings=[DRIFT])) == "whole run"
    other = record("keras", task=TASKS["embedded"]).model_copy(update={"position": 1})
    assert describe(drifting, other) == "all of cifar10-resnet18"
    assert describe(*(record(name, warnings=[DRIFT]) for name in ("pytorch", "tensorflow", "keras")), other) == (
        "all of cifar10-resnet18"
    )
    many = [record("pytorch", variant=name, warnings=[DRIFT]) for name in ("bf16", "nhwc", "eigen")]
    assert describe(*many, record("pytorch", variant="compiled")) == "3 cases"


def test_the_heading_says_which_run_it_is():
    about = describe_environment() | {
        "cpu": {"model": "AMD EPYC", "cores_usable": 2},
        "memory": {"total": 24 * 2**30},
        "system": {"name": "Linux", "machine": "x86_64"},
        "gpus": [],
        "git": {"revision": "0123456789abcdef", "dirty": True},
        "python": {"version": "3.11.7"},
        "packages": {"torch": "2.14.1", "torchvision": None, "timm": "1.0", "tensorflow": "2.21.0"},
    }
    made = record().model_copy(update={"about": about})
    assert build_heading([made]).lines == (
        "20260102T030405Z-quick: cifar10-resnet18, 2 January 2026, 03:04 UTC",
        "AMD EPYC, 2 cores, 24 GiB, no GPU, Linux x86_64",
        "Python 3.11.7, torch 2.14.1, timm 1.0; revision 0123456789ab with uncommitted changes",
    )
    assert build_heading([record()]).lines == ("20260102T030405Z-quick: cifar10-resnet18, 2 January 2026, 03:04 UTC",)
    odd = record().model_copy(update={"about": {"cpu": 1, "gpus": [1], "run": "x"}, "started": "yesterday"})
    assert build_heading([odd]).lines == ("20260102T030405Z-quick: cifar10-resnet18, yesterday",)


def test_a_run_in_which_every_case_died_has_an_end_too():
    dead = died(record("keras"), "import", "ImportError: libcudart.so.13", ["the last words"])
    text = conclude([dead])
    assert "no speed was measured" in text
    assert "Not measured" in text
    assert "failed in import" in text
    assert "the last words" in text
