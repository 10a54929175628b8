"""The formats of `bench export`: each has a golden file, and the program that it is for reads it.

`GOLDEN=write pytest tests/bench/report/exchange` writes the golden files again after an intended change.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel

from bench.analysis.launches import group_by_task
from bench.errors import UserError
from bench.report import export_formats
from bench.report.exchange import run_document
from bench.report.exchange.case_figures import MEASURES, list_figures
from bench.report.exchange.latex import escape
from bench.report.exchange.run_document import RunDocument
from bench.report.export_formats import FORMATS
from bench.report.exporters import Report
from bench.report.tables import Cell, Column, Table, build_tables
from tests.bench.example_records import BROKEN, NOISY, about, died, launches, record

GOLDEN = Path(__file__).parent / "golden"
FILES = [name for name, one in FORMATS.items() if not one.is_folder]
#: None of these launches made the proof of sameness itself: one that does has no figure of memory.
RECORDS = [
    each.model_copy(update={"about": about(), "proof": each.proof and each.proof.model_copy(update={"seconds": 0.0})})
    for each in (
        *launches("pytorch", 3, rounds=3),
        *launches("tensorflow", 3, rounds=3, step_ms=7.5, warnings=[NOISY]),
        died(record("keras", 0, rounds=3), "build", "killed by SIGKILL", ["Killed"]),
    )
]


@pytest.fixture(scope="module")
def made() -> Report:
    return Report(RECORDS, build_tables(RECORDS, banner="a caution"))


def export(name: str, report: Report) -> bytes:
    return export_formats.export_file(FORMATS[name], report)


def check_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def read_parquet(content: bytes) -> Any:
    from pyarrow import parquet

    return parquet.read_table(io.BytesIO(content))


@pytest.mark.parametrize("name", FILES)
def test_a_format_has_its_golden_text(name, made):
    content = export(name, made)
    if name == "parquet":
        table = read_parquet(content)
        text = f"{table.schema}\n{json.dumps(table.to_pylist(), indent=1)}\n"
    else:
        text = re.sub(r'(?<="version": ")\d[\d.]*(?="\n\}\n$)', "x", content.decode())  # pytest-benchmark's
    check_golden(name, text)


def test_asv_has_its_golden_files(made, tmp_path):
    paths = export_formats.export_folder(FORMATS["asv"], made, tmp_path)
    texts = (f"== {path.relative_to(tmp_path)}\n{path.read_text()}" for path in sorted(paths))
    check_golden("asv", "".join(texts))


def test_no_golden_file_is_left_over():
    assert {path.name for path in GOLDEN.iterdir()} == set(FORMATS)


def test_parquet_has_the_rows_of_the_csv(made):
    table = read_parquet(export("parquet", made)).to_pandas()
    rows = pd.read_csv(io.BytesIO(export("csv", made)), keep_default_na=False, na_values={"peak_device_mb": [""]})
    assert list(table.columns) == list(rows.columns)
    assert table["images_per_second"].dropna().tolist() == pytest.approx(
        [float(text) for text in rows["images_per_second"] if text != ""]
    )
    assert table["batch_size"].dtype == "int64"
    assert table["peak_device_mb"].isna().all()
    assert table["warnings"].tolist() == rows["warnings"].tolist()


def test_a_format_without_its_package_names_the_extra(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        UserError, match=r"needs pyarrow, which is not installed: pip install 'head-to-head\[parquet\]'$"
    ):
        export("parquet", made)


def test_the_extra_that_is_named_exists():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]
    assert any(need.startswith("pyarrow") for need in project["optional-dependencies"]["parquet"])


def test_the_json_document_reads_back_and_has_the_ratio_of_the_tables(made):
    document = RunDocument.model_validate_json(export("json", made))
    (task,) = document.tasks
    pytorch, tensorflow, keras = task.cases
    cases = group_by_task(RECORDS)[0].cases
    expected = cases[1].ratio_to(cases[0], "pipeline")
    assert expected is not None
    ratio = tensorflow.ratios[0]
    assert (ratio.to, ratio.estimate, ratio.low, ratio.certain) == (
        "pytorch/default",
        expected.estimate,
        expected.low,
        True,
    )
    assert pytorch.ratios == ()
    assert keras.failures[0].reason == "killed by SIGKILL"
    assert [figure.measure for figure in pytorch.figures] == [name for name in MEASURES if name != "device-memory"]
    assert len(document.launches) == len(RECORDS)
    assert document.launches[0]["peak_device_mb"] is None


def test_a_case_that_is_not_comparable_has_its_reason_and_no_ratio():
    records = [*launches("pytorch", 3), *launches("keras", 3, proof=BROKEN)]
    document = RunDocument.model_validate_json(export("json", Report(records, [])))
    keras = document.tasks[0].cases[1]
    assert (keras.ratios, keras.not_comparable) == ((), "the first step's loss differs by 2.0e-02")
    assert document.environment is None  # nothing is known of the machine, and that is no error


@pytest.mark.parametrize("damaged", [{}, {"cpu": 3}, {**about(), "run": [], "git": "x", "packages": None}])
def test_a_description_of_another_shape_is_left_out(damaged):
    records = [one.model_copy(update={"about": damaged}) for one in RECORDS]
    document = RunDocument.model_validate_json(export("json", Report(records, [])))
    assert (document.environment, document.run.revision, document.run.skipped) == (None, None, {})
    for name in FILES:
        assert export(name, Report(records, build_tables(records)))


def test_each_step_of_a_figure_is_the_reciprocal_of_its_throughput(made):
    figures = {figure.measure: figure.value.estimate for figure in list_figures(group_by_task(RECORDS)[0].cases[0])}
    batch = RECORDS[0].task.batch_size
    assert figures["pipeline"] * figures["pipeline-throughput"] == pytest.approx(batch)
    assert figures["fine-tune"] == pytest.approx(4.7 + 136.6, rel=0.01)


def test_github_action_benchmark_gets_each_direction_in_a_file_of_its_own(made):
    smaller, bigger = (
        json.loads(export(name, made)) for name in ("github-action-benchmark", "github-action-benchmark-bigger")
    )
    # What the action requires: name, unit and value; range and extra are text.
    for entry in (*smaller, *bigger):
        assert {"name", "unit", "value"} <= entry.keys() <= {"name", "unit", "value", "range", "extra"}
        assert isinstance(entry["value"], float)
        assert isinstance(entry.get("range", ""), str)
    names = [entry["name"] for entry in (*smaller, *bigger)]
    assert len(names) == len(set(names)) == 2 * 8
    assert {entry["unit"] for entry in smaller} == {"s", "bytes"}
    assert {entry["unit"] for entry in bigger} == {"images/s", "share"}


def test_bencher_gets_metrics_of_its_own_schema(made):
    jsonschema = pytest.importorskip("jsonschema")
    metric = {
        "type": "object",
        "properties": {name: {"type": "number"} for name in ("value", "lower_value", "upper_value")},
        "required": ["value"],
        "additionalProperties": False,
    }
    measures = {"type": "object", "patternProperties": {"^[a-z0-9-]{1,64}$": metric}, "additionalProperties": False}
    content = json.loads(export("bencher", made))
    jsonschema.validate(content, {"type": "object", "patternProperties": {".+": measures}})
    # Nanoseconds, and images per second.
    own = content["cifar10-resnet18/pytorch/default"]
    assert own["latency"]["value"] * own["throughput"]["value"] == pytest.approx(4e9)
    assert "cifar10-resnet18/keras/default" not in content


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50 % & $x_1 #2", r"50 \% \& \$x\_1 \#2"),
        ("a\\b{c}", r"a\textbackslash{}b\{c\}"),
        ("~^<>|", r"\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\textbar{}"),
        ("--knob ---", r"-{}-knob -{}-{}-"),
        ("1 – 2 × ± 3…", r"1 -- 2 $\times$ $\pm$ 3\ldots{}"),
        ("a\x1b[31mb\x00c", "abc"),
    ],
)
def test_latex_prints_a_text_as_it_is(text, expected):
    assert escape(text) == expected


def test_latex_has_a_row_for_each_row_and_no_open_group(made):
    hostile = Table(
        title=r"\input{/etc/passwd}",
        columns=(Column("[case", figures=False), Column("x")),
        rows=((Cell("*a\nb & c"), Cell("%", bold=True)),),
        notes=("first\nsecond $",),
        banner="caution }",
    )
    text = export("latex", Report([], [*made.tables, hostile])).decode()
    bare = re.sub(r"\\[\\{}%&$#_]", "", text)  # without escaped characters, and the ends of rows
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == len(made.tables) + 1
    for grid in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", text, re.S):
        rows = re.split(r"\\\\\n", grid[1])[:-1]
        assert all(len(re.findall(r"(?<!\\)&", row)) == len(grid[0]) - 1 for row in rows)
    last = text[text.rindex(r"\begin{tabular}") :]
    assert r"\input" not in last
    assert "{}[case & x \\\\" in last  # behind \toprule, [ would be its argument
    assert "{}*a; b \\& c & \\textbf{\\%} \\\\" in last
    assert r"%" not in re.sub(r"\\%", "", text.partition("\n")[2])  # no comment cuts a line off


def test_asv_reads_the_results_and_the_benchmarks(made, tmp_path):
    pytest.importorskip("asv")
    from asv.benchmarks import Benchmarks
    from asv.config import Config
    from asv.results import iter_results

    export_formats.export_folder(FORMATS["asv"], made, tmp_path / "results")
    conf = Config.from_json(
        {"project": "x", "repo": ".", "results_dir": str(tmp_path / "results"), "branches": ["HEAD"]}
    )
    benchmarks = Benchmarks.load(conf)
    (results,) = iter_results(conf.results_dir)
    keys = results.get_result_keys(benchmarks)
    assert keys == set(benchmarks)
    assert len(keys) == 2 * 5
    name = "cifar10-resnet18_pytorch_default.time_pipeline"
    figure = list_figures(group_by_task(RECORDS)[0].cases[0])[0]
    assert results.get_result_value(name, []) == [figure.value.estimate]
    assert results.get_result_samples(name, []) == [list(figure.by_launch.values())]
    assert results.date == 1767312000000


@pytest.mark.slow
def test_asv_compares_two_commits_and_publishes_them(tmp_path):
    pytest.importorskip("asv")
    repository = tmp_path / "repository"
    repository.mkdir()

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("git", "init", "--quiet", "--initial-branch=main")
    commits = []
    for step_ms in (5.0, 8.5):
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        run("git", *identity, "commit", "--quiet", "--allow-empty", "--message", "x")
        commits.append(run("git", "rev-parse", "HEAD").strip())
        git = {"revision": commits[-1], "time": run("git", "log", "-1", "--format=%cI").strip(), "dirty": False}
        # Each commit also has a case that the other lacks: the descriptions of both stay.
        other = "tensorflow" if step_ms == 5.0 else "keras"
        records = [
            each.model_copy(update={"about": {**about(), "git": git}})
            for backend in ("pytorch", other)
            for each in launches(backend, 3, step_ms=step_ms, noise=0.001)
        ]
        export_formats.export_folder(FORMATS["asv"], Report(records, []), tmp_path / "results")
    settings = {"version": 1, "project": "x", "repo": str(repository), "branches": ["main"]}
    settings |= {"results_dir": str(tmp_path / "results"), "html_dir": str(tmp_path / "html"), "benchmark_dir": "x"}
    (repository / "asv.conf.json").write_text(json.dumps(settings))
    asv = (sys.executable, "-m", "asv")
    assert set(json.loads((tmp_path / "results/benchmarks.json").read_text())) > {
        "cifar10-resnet18_tensorflow_default.time_pipeline",
        "cifar10-resnet18_keras_default.time_pipeline",
    }
    text = run(*asv, "compare", *commits)
    line = next(line for line in text.splitlines() if "pytorch_default.time_pipeline" in line)
    assert "1.70" in line or "1.7" in line, text
    run(*asv, "publish")
    assert list((tmp_path / "html").rglob("*pytorch_default.time_pipeline*.json"))


@pytest.mark.parametrize(
    ("content", "message"),
    [("[1]", "no file of asv"), ("{", "no file of asv"), ('{"version": 1}', "no file of asv")],
)
def test_a_folder_with_another_benchmarks_file_is_left_alone(content, message, made, tmp_path):
    (tmp_path / "benchmarks.json").write_text(content)
    with pytest.raises(UserError, match=message):
        export_formats.export_folder(FORMATS["asv"], made, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["benchmarks.json"]


def test_asv_needs_a_revision(tmp_path):
    records = [each.model_copy(update={"about": {**about(), "git": None}}) for each in RECORDS]
    with pytest.raises(UserError, match="needs the git revision"):
        export_formats.export_folder(FORMATS["asv"], Report(records, []), tmp_path)


def test_the_page_describes_every_field_of_the_document_and_every_figure():
    page = (Path(__file__).parents[4] / "docs/exporting.md").read_text(encoding="utf-8")
    own = [one for one in vars(run_document).values() if getattr(one, "__module__", "") == run_document.__name__]
    models = [one for one in own if isinstance(one, type) and issubclass(one, BaseModel)]
    assert len(models) > 8
    fields = {f"| `{name}` | {field.description} |" for model in models for name, field in model.model_fields.items()}
    assert [line for line in sorted(fields) if line not in page] == []
    assert f"`schema_version` is {run_document.SCHEMA}." in page
    assert [name for name in (*FORMATS, *MEASURES) if f"| `{name}` | " not in page] == []
