"""The exporters: their files are readable by the programs that they are for."""

from __future__ import annotations

import io
import itertools
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.launches import group_by_task
from bench.errors import UserError
from bench.machine.environment import describe_environment
from bench.records.record import Record
from bench.report import exporters, terminal
from bench.report.benchmark_json import merge_records
from bench.report.exporters import Report
from bench.report.tables import Cell, Column, Table, build_tables
from tests.bench.example_records import died, launches, record

ABOUT = describe_environment()
RECORDS = [
    each.model_copy(update={"about": ABOUT}) for each in (*launches("pytorch", 3), *launches("keras", 3, step_ms=7))
]


@pytest.fixture(scope="module")
def made() -> Report:
    return Report(records=RECORDS, tables=build_tables(RECORDS, banner="a caution"))


def test_the_runs_folder_gets_one_file_a_format(made, tmp_path):
    assert [p.name for p in exporters.write_report(tmp_path, made)] == [
        "results.csv",
        "tables.md",
        "benchmark.json",
        "report.html",
        "environment.json",
    ]
    assert all(p.stat().st_size for p in tmp_path.iterdir())
    with pytest.raises(UserError, match="unknown format 'markdwon': did you mean 'markdown'"):
        exporters.write_report(tmp_path, made, ["markdwon"])


def test_a_file_that_cannot_be_written_does_not_keep_the_others_from_being_written(made, tmp_path):
    (tmp_path / "results.csv").mkdir()
    with pytest.raises(UserError, match=r"^cannot write .*/results.csv: Is a directory"):
        exporters.write_report(tmp_path, made)
    written = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert written == {"tables.md", "benchmark.json", "report.html", "environment.json"}


def test_a_missing_package_keeps_no_other_file_from_being_written(made, monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.startswith(("bench.report.html", "jinja2"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    line = "^the format html needs jinja2, which is not installed: pip install jinja2, or install this project again$"
    with pytest.raises(UserError, match=line):
        exporters.write_report(tmp_path, made)
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.csv",
        "tables.md",
        "benchmark.json",
        "environment.json",
    }


def test_no_file_has_escape_sequences(made, monkeypatch, tmp_path):
    monkeypatch.setenv("FORCE_COLOR", "1")
    for path in exporters.write_report(tmp_path, made, exporters.EXPORTERS):
        assert "\x1b" not in path.read_text()


def test_the_csv_reads_back_with_empty_device_columns(made):
    text = exporters.export("csv", made)
    back = pd.read_csv(io.StringIO(text))
    assert back["images_per_second"].round().tolist() == [
        round(r.pipeline.images / statistics.median(r.pipeline.seconds)) for r in RECORDS
    ]
    assert back["peak_device_mb"].isna().all()
    assert "no GPU" not in text


def test_pytest_benchmark_reads_the_merged_file_with_its_own_command(made, tmp_path):
    path = tmp_path / "benchmark.json"
    path.write_text(exporters.export("benchmark-json", made))
    command = [sys.executable, "-c", "from pytest_benchmark.cli import main; main()", "compare", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": 2 tests") == 2
    for kind in ("pipeline", "compute"):
        assert f"test_{kind}[cifar10-resnet18/keras/default]" in done.stdout


def test_launches_of_a_case_are_one_benchmark_with_true_statistics(made):
    content = json.loads(exporters.export("benchmark-json", made))
    assert list(content) == ["machine_info", "commit_info", "benchmarks", "datetime", "version"]
    assert content["machine_info"]["node"] == ""

    names = [entry["fullname"] for entry in content["benchmarks"]]
    assert len(set(names)) == len(names) == 4
    assert names[0] == "bench/worker/measure.py::test_pipeline[cifar10-resnet18/pytorch/default]"

    entry = content["benchmarks"][0]
    data = [s / r.pipeline.steps for r in RECORDS[:3] for s in r.pipeline.seconds]
    assert entry["stats"]["data"] == data
    assert entry["stats"]["rounds"] == 36
    assert entry["stats"]["mean"] == pytest.approx(statistics.mean(data))
    assert entry["stats"]["median"] == pytest.approx(statistics.median(data))
    assert entry["stats"]["stddev"] == pytest.approx(statistics.stdev(data))
    assert entry["stats"]["ops"] == pytest.approx(1 / statistics.mean(data))
    assert entry["stats"]["iterations"] == 40
    assert entry["extra_info"] == {
        "kind": "pipeline",
        "images_per_round": 160,
        "steps_per_round": 40,
        "unit": "seconds per training step",
        "launches": [0, 1, 2],
        "rounds_by_launch": [12, 12, 12],
    }


def make_launches(
    step_ms: float, steps: Sequence[int], noise: float = 0.0, rounds: Sequence[int] = (12,)
) -> list[Record]:
    """Launches of one case with their own numbers of steps and rounds."""
    counts = itertools.cycle(rounds)
    return [
        record("keras", launch, step_ms=step_ms, noise=noise, steps=each, rounds=next(counts))
        for launch, each in enumerate(steps)
    ]


@pytest.mark.parametrize(
    ("step_ms", "before", "after"),
    [
        pytest.param(8.5, (34, 32, 35), (20, 19, 20), id="70 % slower, in rounds of one length"),
        pytest.param(12.0, (34, 32, 35), (19, 20, 20), id="2.4 times as slow, in longer rounds"),
    ],
)
def test_pytest_benchmark_compare_shows_the_ratio_of_the_tables(step_ms, before, after, tmp_path):
    """A launch chooses its number of steps so that a round lasts as long as any other: whole rounds hide a change."""
    runs = {"before": make_launches(5.0, before), "after": make_launches(step_ms, after)}
    for name, records in runs.items():
        (tmp_path / f"{name}.json").write_text(exporters.export("benchmark-json", Report(records, [])))
    command = [sys.executable, "-c", "from pytest_benchmark.cli import main; main()", "compare"]
    command += ["--group-by=name", "--columns=mean,median,ops", *(str(tmp_path / f"{name}.json") for name in runs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = [re.findall(r"\(([\d.]+)\)", line) for line in done.stdout.splitlines() if line.startswith("test_")]
    rate = {name: group_by_task(records)[0].cases[0].throughput("pipeline").estimate for name, records in runs.items()}
    ratio = rate["before"] / rate["after"]
    assert ratio == pytest.approx(step_ms / 5)
    # The slower one has (1.70), for its operations per second (0.59).
    assert sorted(shown) == sorted(2 * [["1.0"] * 3, [f"{ratio:.2f}"] * 2 + [f"{1 / ratio:.2f}"]])


def test_every_launch_counts_the_same_whatever_its_rounds():
    first = make_launches(5.0, (40,))[0]
    slow = make_launches(10.0, (20, 20), rounds=(12, 3))[1]
    stats = {entry["name"]: entry for entry in merge_records([first, slow])}[
        "test_pipeline[cifar10-resnet18/keras/default]"
    ]
    assert stats["stats"]["mean"] == pytest.approx(0.0075)
    assert stats["stats"]["rounds"] == 6
    assert stats["stats"]["iterations"] == 30
    assert stats["extra_info"]["rounds_by_launch"] == [3, 3]
    assert stats["extra_info"]["steps_per_round"] == [40, 20]


def test_the_mean_of_noisy_launches_is_near_the_rate_of_the_tables():
    records = make_launches(5.0, (34, 20, 35, 18, 50, 26), noise=0.03)
    table = group_by_task(records)[0].cases[0].throughput("pipeline").estimate
    entry = merge_records(records)[0]
    assert records[0].task.batch_size / entry["stats"]["mean"] == pytest.approx(table, rel=0.01)


def test_a_name_does_not_depend_on_what_else_was_measured():
    alone = {entry["fullname"] for entry in merge_records(launches("keras", 1))}
    assert alone < {entry["fullname"] for entry in merge_records(RECORDS)}


def test_what_launches_disagree_on_is_listed_and_a_failed_one_left_out():
    first, second = launches("keras", 2)
    entry = {**second.benchmarks[0], "extra_info": {"images_per_round": 80, "steps_per_round": 40}}
    second = second.model_copy(update={"benchmarks": (entry,)})
    third = record("keras", 2).model_copy(update={"failure": died(record(), "parity", "x", []).failure})
    info = merge_records([first, second])[0]["extra_info"]
    assert (info["images_per_round"], info["steps_per_round"]) == ([160, 80], 40)
    text = exporters.export("benchmark-json", Report(records=[first, second, third], tables=[]))
    assert json.loads(text)["benchmarks"][0]["extra_info"]["launches"] == [0, 1]


def test_a_name_is_no_link_in_markdown_and_an_interval_stays_as_it_is():
    cells = (Cell("[a](javascript:b)"), Cell("1.2 [1.1–1.3]"))
    table = Table("a table", (Column("case", False), Column("ratio")), (cells,), ())
    text = exporters.export("markdown", Report(records=[], tables=[table]))
    assert r"| [a\](javascript:b) | 1.2 [1.1–1.3] |" in text


def test_markdown_survives_what_programs_print():
    table = Table(
        title="a | b",
        columns=(Column("case", figures=False), Column("x")),
        rows=((Cell("a|b\n<c>"), Cell("1*2", bold=True)),),
        notes=("a note", "died, last lines:\n```\n| x"),
    )
    assert exporters.export("markdown", Report(records=[], tables=[table])) == (
        "## a \\| b\n\n"
        "| case           |        x |\n"
        "| -------------- | -------: |\n"
        "| a\\|b<br>&lt;c> | **1\\*2** |\n\n"
        "- a note\n"
        "- died, last lines:\n\n  ````\n  ```\n  | x\n  ````\n"
    )


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_keeps_to_its_width_and_loses_nothing(made, width):
    text = terminal.export(made, width)
    assert max(len(line) for line in text.splitlines()) <= width
    for table in made.tables:
        for row in table.rows:
            # Cells may be wrapped, but only between words; a case's name has none.
            assert [word for cell in row for word in cell.text.split() if word not in text] == []
    assert text.count("a caution") == 1


@pytest.mark.parametrize("width", [100, 200])
def test_every_table_is_unbroken_at_100_columns_and_no_wider(made, width):
    plain = Report(records=[], tables=[replace(table, notes=(), banner=None) for table in made.tables])
    text = terminal.export(plain, width)
    assert text.count("──\n") == len(made.tables)
    rows = [line for line in text.splitlines() if not any(line.startswith(table.title) for table in made.tables)]
    assert max(len(line) for line in rows) <= 100


def test_the_command_that_makes_a_table_again_stands_below_it(made):
    about = {**ABOUT, "run": {"command": "run --suite quick", "relative_to": "pytorch"}}
    records = [each.model_copy(update={"about": about}) for each in RECORDS]
    for relative_to, command in (
        ("pytorch", "bench run --suite quick"),
        ("keras", "bench run --suite quick --relative-to keras"),
    ):
        again = Report(records, build_tables(records, relative_to))
        assert exporters.export("markdown", again).count(f"\nReproduce: `{command}`\n") == len(again.tables)
        assert terminal.export(again).count(f"\nReproduce: {command}\n") == len(again.tables)
    assert "Reproduce" not in exporters.export("markdown", made)


def test_brackets_in_a_cell_are_text_and_not_style():
    table = Table(title="[bold]x", columns=(Column("case"),), rows=((Cell("[red]1"),),))
    console = Console(file=io.StringIO(), width=40)
    terminal.print_tables(Report(records=[], tables=[table]), console)
    assert "[red]1" in console.file.getvalue()
    assert "[bold]x" in console.file.getvalue()


def test_exporters_are_loaded_on_first_use():
    lazy = {"scipy", "rich", "bench.report.csv"}
    code = f"import sys, bench.report.exporters; print({lazy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"
