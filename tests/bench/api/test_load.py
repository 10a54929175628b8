"""`bench.load`: a run as data frames, tables and a verdict; what cannot be read is said."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pandas
import pytest

import bench
from bench.records.checksummed_json import compute_checksum
from bench.records.launch_rows import COLUMNS
from tests.bench.example_records import launches, record
from tests.bench.processes import PROJECT

REFERENCE = PROJECT / "results/reference/20261126T164841Z-quick"


@pytest.fixture
def reference(tmp_path):
    """A copy of the reference run that may be damaged."""
    return shutil.copytree(REFERENCE, tmp_path / "results" / REFERENCE.name)


def test_a_run_has_a_row_for_each_launch_and_each_round():
    run = bench.load(REFERENCE)
    assert tuple(run.frame.columns) == COLUMNS
    stored = pandas.read_csv(REFERENCE / "results.csv")
    texts = ["epoch_seconds", "epoch_accuracy"]  # without any text in them, they are read as numbers
    stored[texts] = stored[texts].astype(object).fillna("")
    pandas.testing.assert_frame_equal(run.frame, stored, check_dtype=False)
    rounds = run.rounds.query("backend == 'keras' and kind == 'pipeline'")
    assert list(rounds["round"]) == [1, 2] * 3
    medians = rounds.groupby("launch").apply(lambda of: of.images.iloc[0] / of.seconds.median(), include_groups=False)
    assert medians.tolist() == pytest.approx(stored.query("backend == 'keras'").images_per_second.tolist())
    assert (run.rounds.seconds_per_step * run.rounds.steps - run.rounds.seconds).abs().max() < 1e-12


def test_it_has_the_verdict_the_tables_and_the_warnings_of_the_command_line(
    command_line, tmp_path, reference, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    run = bench.load(reference)
    assert str(run.verdict).startswith("At batch 32 Keras was 2.35 [1.36–4.05]")
    assert run.tables[0].title in command_line("show", reference, "--full", "--results", tmp_path).out
    assert "few-launches" in {warning.name for warning in run.warnings}
    assert (run.name, run.problems, run.relative_to) == (REFERENCE.name, (), "pytorch")
    assert repr(run) == f"<run {REFERENCE.name}: 9 launches of keras/default, pytorch/default, tensorflow/default>"


def test_another_reference_turns_the_ratios(reference):
    run = bench.load(reference, relative_to="keras")
    assert "Keras" in run.verdict.text
    assert run.tables[0] != bench.load(reference).tables[0]
    with pytest.raises(bench.UserError, match="unknown backend 'kreas': did you mean 'keras'"):
        bench.load(reference, relative_to="kreas")


def test_a_run_is_found_by_its_name_and_the_newest_without_one(reference, monkeypatch):
    results = reference.parent
    shutil.copytree(reference, results / "20261127T000000Z-quick")
    assert bench.load(REFERENCE.name, results=results).folder == reference
    assert bench.load(results=str(results)).name == "20261127T000000Z-quick"
    monkeypatch.chdir(results.parent)
    assert bench.load().name == "20261127T000000Z-quick"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[:200], "it is cut off or not JSON"),
        (lambda text: text.replace('"launch": ', '"launch": 7'), "it was changed after it was measured"),
        (lambda text: make_newer(text), "is newer than the"),
    ],
    ids=["cut off", "edited", "newer"],
)
def test_a_damaged_record_is_left_out_with_a_warning_and_without_any_there_is_one_line(reference, damage, reason):
    paths = sorted((reference / "records").iterdir())
    paths[0].write_text(damage(paths[0].read_text()))
    with pytest.warns(UserWarning, match=reason):
        run = bench.load(reference)
    assert len(run.frame) == 8
    assert reason in run.problems[0]
    for path in paths[1:]:
        path.write_text(damage(path.read_text()))
    with pytest.raises(bench.UserError, match="no readable record"):
        bench.load(reference)


def make_newer(text: str) -> str:
    content = json.loads(text)["record"] | {"schema_version": 99}
    return json.dumps({"sha256": compute_checksum(content), "record": content})


def test_what_is_no_run_is_one_line(tmp_path):
    with pytest.raises(bench.UserError, match=r"there is no run in .* yet"):
        bench.load(results=tmp_path)
    with pytest.raises(bench.UserError, match="unknown run 'x'"):
        bench.load("x", results=tmp_path)
    (tmp_path / "20260101T000000Z-sweep/combinations").mkdir(parents=True)
    with pytest.raises(bench.UserError, match="is the result of bench sweep, and not a run"):
        bench.load("20260101T000000Z-sweep", results=tmp_path)


def test_in_a_notebook_all_text_is_escaped(tmp_path):
    from bench.records import store

    strange = '<script>alert("x")</script>'
    run = tmp_path / "20260101T000000Z-<b>quick"
    (run / "records").mkdir(parents=True)
    for one in [*launches("pytorch", 4), *launches("keras", 4)]:
        task = one.task.model_copy(update={"name": strange})
        variant = one.variant.model_copy(update={"name": "<i>v</i>"})
        store.write_record(run, one.model_copy(update={"task": task, "variant": variant, "case": one.case}))
    text = bench.load(run)._repr_html_()
    tags = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _: tags.add(tag)
    parser.feed(text)
    assert tags <= {"div", "p", "strong", "details", "summary", "table", "thead", "tbody", "tr", "th", "td", "b", "br"}
    assert "&lt;script&gt;" in text
    assert "&lt;b&gt;quick" in text


def test_importing_the_package_imports_nothing_slow():
    code = "import sys, bench; print(sorted({'pandas', 'pydantic', 'rich', 'bench.api'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert {"load", "run", "RunResults", "UserError"} <= set(dir(bench))
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = bench.laod


def test_a_launch_that_was_not_measured_is_nan(tmp_path):
    from bench.records import store
    from tests.bench.example_records import died

    run = tmp_path / "20260101T000000Z-quick"
    (run / "records").mkdir(parents=True)
    for one in (record(), died(record(launch=1), "training", "SIGKILL", [])):
        store.write_record(run, one)
    frame = bench.load(run).frame
    assert frame.images_per_second.isna().tolist() == [False, True]
    assert bench.load(run).rounds.launch.unique().tolist() == [0]
