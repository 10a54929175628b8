"""Stored runs side by side: which ratios are made, what is not compared, and what the tables say."""

from __future__ import annotations

import math
import re

import pytest
from scipy import stats

from bench.analysis.mean_estimate import compare_unpaired
from bench.cli.app import run_command_line
from bench.compare.comparison_page import build_page
from bench.compare.comparison_sentences import describe_comparison
from bench.compare.differences import list_differences
from bench.compare.run_comparison import compare_runs
from bench.compare.stored_run import read_runs
from bench.errors import UserError
from bench.report.html.page_writer import MOST_BYTES, render_page
from bench.report.tables.throughput_table import build_throughput_table
from bench.sweep import sweep_record
from tests.bench.compare.example_runs import make_records, write_run
from tests.bench.example_records import BROKEN, TASK, about, died, launches

FIRST, SECOND = "20260101T000000Z-quick", "20260102T000000Z-quick"
STEPS = {"pytorch": 5.0, "keras": 7.0}


@pytest.fixture
def compare(tmp_path):
    """Returns a function that compares lists of records as stored runs."""

    def run(*several, relative_to=None):
        folders = [
            write_run(tmp_path, f"2026010{number}T000000Z-quick", records) for number, records in enumerate(several, 1)
        ]
        return compare_runs(read_runs(folders), relative_to)

    return run


def find_row(comparison, label, letter="B", kind="pipeline"):
    (row,) = [
        row for row in comparison.tasks[0].list_rows(kind) if row.case.label == label and row.run.letter == letter
    ]
    return row


def test_the_interval_of_two_runs_is_welchs(compare):
    comparison = compare(make_records(STEPS, 5), make_records({"pytorch": 5.5, "keras": 7.0}, 4, noise=0.03))
    row, base = find_row(comparison, "pytorch/default"), find_row(comparison, "pytorch/default", "A")
    logs = [
        [math.log(rounds[len(rounds) // 2]) for rounds in map(sorted, one.case.seconds_per_image("pipeline").values())]
        for one in (row, base)
    ]
    # scipy's median of an even number of rounds is the mean of two: the bounds agree as far as that allows.
    expected = stats.ttest_ind(*logs, equal_var=False)
    ratio = row.over_base
    assert ratio.interval.estimate == pytest.approx(5 / 5.5, rel=0.05)
    assert ratio.p == pytest.approx(expected.pvalue, rel=0.15)
    low, high = expected.confidence_interval()
    assert ratio.interval.low == pytest.approx(math.exp(-high), rel=0.01)
    assert ratio.interval.high == pytest.approx(math.exp(-low), rel=0.01)


def test_welchs_interval_and_p_are_those_of_scipy():
    head, base = [0.1, 0.12, 0.09, 0.14], [0.0, 0.05, 0.02]
    expected = stats.ttest_ind(head, base, equal_var=False)
    found = compare_unpaired(head, base)
    assert found.p == pytest.approx(expected.pvalue)
    assert [math.log(end) for end in (found.interval.low, found.interval.high)] == pytest.approx(
        list(expected.confidence_interval())
    )
    assert compare_unpaired([0.1, 0.2], [0.0, 0.0, 0.1]).interval.low is None
    assert compare_unpaired([0.1] * 3, [0.1] * 3).p == 1.0
    assert compare_unpaired([0.5] * 3, [0.25] * 3).p == 0.0


def test_a_slower_case_is_found_and_an_unchanged_one_is_not(compare):
    comparison = compare(make_records(STEPS), make_records({**STEPS, "pytorch": 8.5}))
    slower, same = find_row(comparison, "pytorch/default"), find_row(comparison, "keras/default")
    assert slower.certain
    assert slower.over_base.interval.estimate == pytest.approx(1 / 1.7, rel=0.01)
    assert not same.certain
    assert same.change_certain  # over PyTorch, Keras has gained
    text = " ".join(describe_comparison(comparison))
    assert re.search(
        r"B against A, same machine: slower: pytorch/default 0\.5\d+ \[.*?\] times as fast; "
        r"no difference found: keras/default \(± [\d.]+ %\)\.",
        text,
    )
    assert "keras/default over pytorch/default is 0.7" in text
    assert "bench gate --against" in text


def test_two_launches_decide_nothing(compare):
    comparison = compare(make_records(STEPS, 2), make_records({**STEPS, "pytorch": 8.5}, 2))
    row = find_row(comparison, "pytorch/default")
    assert (row.certain, row.over_base.interval.low) == (False, None)
    text = " ".join(describe_comparison(comparison))
    assert "not enough launches to tell: pytorch/default, keras/default" in text
    assert "slower" not in text


def test_the_ratio_within_a_run_is_that_of_the_runs_own_table(compare):
    from bench.compare.comparison_tables import build_reference_table

    comparison = compare(make_records(STEPS), make_records({**STEPS, "pytorch": 8.5}))
    for run in comparison.runs:
        own = build_throughput_table(run.tasks[0], "pytorch")
        ratios = {row[0].text: row[2].text for row in own.rows}
        shown = [
            row for row in build_reference_table(comparison.tasks[0], "pipeline").rows if row[1].text == run.letter
        ]
        assert [(row[0].text, row[2].text) for row in shown] == [("keras/default", ratios["keras/default"])]


def test_another_machine_has_no_verdict_on_absolute_figures(compare):
    other = about(cpu="Xeon", cores=16)
    comparison = compare(make_records(STEPS), make_records({"pytorch": 1.5, "keras": 3.0}, described=other))
    text = " ".join(describe_comparison(comparison))
    assert "B against A, other machine: throughput is a multiple, whatever the reason: pytorch/default 3.3" in text
    assert "slower" not in text
    assert re.search(
        r"keras/default over pytorch/default is 0\.7\d+ \[.*\] in A and 0\.[45]\d+ \[.*\] in B", text
    )  # within a run, it is compared
    assert "differ in CPU (AMD EPYC → Xeon), usable cores (2 → 16)" in text


def test_a_machine_that_is_not_known_is_another_one(compare):
    nothing = {"run": about()["run"]}
    comparison = compare(make_records(STEPS, described=nothing), make_records(STEPS, described=nothing))
    text = " ".join(describe_comparison(comparison))
    assert "other machine" in text
    assert "What else A and B differ in is not known." in text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task": TASK.model_copy(update={"batch_size": 8})}, "batch_size 4 and 8 in A and B"),
        (
            {"task": TASK.model_copy(update={"learning_rate": 0.01, "epochs": 5})},
            "learning_rate 0.001 and 0.01, epochs 2 and 5 in A and B",
        ),
        (
            {"task": TASK.model_copy(update={"name": "mine"})},
            f"A, {FIRST}, has cifar10-resnet18; B, {SECOND}, has mine: choose runs of one task, see bench list runs",
        ),
    ],
)
def test_tasks_that_differ_are_not_compared(tmp_path, capsys, change, reason):
    write_run(tmp_path, FIRST, make_records(STEPS))
    write_run(tmp_path, SECOND, make_records(STEPS, **change))
    status, out, err = run_compare(capsys, FIRST, SECOND, "--results", tmp_path)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"bench: nothing can be compared: A, {FIRST}, has cifar10-resnet18; B, {SECOND}, has ")
    assert reason in err


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("dataset_fingerprint", "other", "other images"),
        ("checkpoint_hash", "other", "another checkpoint"),
        ("proof", BROKEN, "the first step's loss differs by 2.0e-02"),
    ],
)
def test_cases_that_are_not_the_same_experiment_are_not_compared(compare, field, value, reason):
    changed = [one.model_copy(update={field: value}) for one in make_records(STEPS)]
    row = find_row(compare(make_records(STEPS), changed), "keras/default")
    assert (row.reason, row.over_base, row.change) == (reason, None, None)


def test_a_variant_with_other_knobs_is_another_case(compare):
    variants = [
        [
            one.model_copy(update={"variant": one.variant.model_copy(update={"name": "tuned", "layout": layout})})
            for one in make_records(STEPS, variant="tuned")
        ]
        for layout in ("nhwc", "nchw")
    ]
    assert find_row(compare(*variants), "keras/tuned").reason == "layout nhwc and nchw"


def test_a_case_of_one_run_is_named(compare):
    comparison = compare(make_records(STEPS), make_records({"pytorch": 5.0, "tensorflow": 6.0}))
    assert comparison.left_out == (
        "cifar10-resnet18: keras/default not in B",
        "cifar10-resnet18: tensorflow/default not in A",
    )
    assert [row.case.label for row in comparison.tasks[0].list_rows("pipeline", comparison.runs[1])] == [
        "pytorch/default"
    ]


def test_ratios_may_be_relative_to_another_case_that_a_run_has(compare):
    comparison = compare(make_records(STEPS), make_records(STEPS), relative_to="keras")
    assert find_row(comparison, "keras/default").reference is None
    assert find_row(comparison, "pytorch/default").change is not None
    with pytest.raises(UserError, match="unknown backend or case 'kears': did you mean 'keras'"):
        compare_runs(comparison.runs, "kears")


@pytest.mark.parametrize("damaged", [{}, {"cpu": 3}, {**about(), "run": [], "git": "x", "packages": None}])
def test_a_description_of_another_shape_is_one_that_is_not_known(compare, damaged):
    comparison = compare(make_records(STEPS), make_records(STEPS, described=damaged))
    assert "What else A and B differ in is not known." in describe_comparison(comparison)
    assert "machine not known" in render_page(build_page(comparison))


def test_a_case_that_died_has_no_ratio(compare):
    dead = [died(one, "build", "killed", []) for one in launches("keras", 4)]
    comparison = compare(make_records(STEPS), [*make_records({"pytorch": 5.0}), *dead])
    row = find_row(comparison, "keras/default")
    assert row.over_base is None
    assert "keras/default" in " ".join(describe_comparison(comparison))


def test_what_differs_is_listed_once_with_the_value_of_each_run(tmp_path):
    records = [
        make_records(STEPS, described=about(variables={"OMP_PROC_BIND": "true"})),
        make_records(STEPS, 6, described=about(torch="2.10.0")),
        [one.model_copy(update={"resolved": {"threads": 2, "layout": "nhwc"}}) for one in make_records(STEPS, 6)],
    ]
    runs = read_runs([write_run(tmp_path, f"2026010{n}T000000Z-quick", each) for n, each in enumerate(records, 1)])
    found = {(one.kind, one.name): one.values for one in list_differences(runs)}
    assert found == {
        ("version", "torch"): ("2.9.0", "2.10.0", "2.9.0"),
        ("variable", "OMP_PROC_BIND"): ("true", "–", "–"),
        ("run", "launches"): ("4", "6", "6"),
        ("pytorch/default", "layout (cifar10-resnet18)"): ("–", "–", "nhwc"),
        ("keras/default", "layout (cifar10-resnet18)"): ("–", "–", "nhwc"),
    }
    assert list_differences(runs[:1]) == []


def test_the_flags_of_two_cpus_are_named_and_not_their_checksums(tmp_path):
    flags = (["avx2", "fma", *(f"amx{number}" for number in range(6))], ["avx2", "sse4"], ["avx2"])
    described = [{**about(), "cpu": {**about()["cpu"], "flags": each}} for each in flags]
    runs = read_runs(
        [
            write_run(tmp_path, f"2026010{number}T000000Z-quick", make_records(STEPS, described=each))
            for number, each in enumerate(described, 1)
        ]
    )
    (found,) = list_differences(runs)
    assert (found.kind, found.name) == ("machine", "CPU flags")
    assert found.values == ("amx0, amx1, amx2, amx3 and 3 more", "sse4", "–")


def test_the_page_has_the_sentences_and_the_plots_and_hostile_names_stay_text(compare):
    hostile = about(cpu='<script>alert("x")</script>')
    comparison = compare(make_records(STEPS), make_records({**STEPS, "pytorch": 8.5}, described=hostile))
    text = render_page(build_page(comparison))
    assert "<script>alert" not in text
    assert "slower: " not in text  # other machine
    assert len(text.encode()) < MOST_BYTES
    assert text.count("reference-line") >= 4  # two plots for each kind of rounds
    same = render_page(build_page(compare_runs([comparison.runs[0], comparison.runs[0]])))
    assert "no difference found" in same


# The command


def run_compare(capsys, *arguments):
    status = run_command_line(["compare", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_command_prints_what_differs_first_and_ends_with_what_it_means(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    write_run(tmp_path, FIRST, make_records(STEPS))
    colleague = write_run(tmp_path / "mail", SECOND, make_records({**STEPS, "pytorch": 8.5}, described=about(cpu="Z")))
    html, markdown = tmp_path / "c.html", tmp_path / "c.md"
    status, out, _ = run_compare(
        capsys, FIRST, colleague, "--results", tmp_path, "--html", html, "--markdown", markdown
    )
    assert status == 0
    assert max(len(line) for line in out.splitlines() if not line.startswith("Written: ")) <= 80
    places = [
        out.index(text) for text in ("What differs", "Run against run", "Within each run", "B against A", "Nothing")
    ]
    assert places == sorted(places)
    assert "<!doctype html>" in html.read_text().lower()
    assert "| pytorch/default" in markdown.read_text()
    assert markdown.read_text().startswith("B against A, other machine: ")
    assert "Run against run, compute" not in out
    _, full, _ = run_compare(capsys, FIRST, colleague, "--results", tmp_path, "--full")
    assert "Run against run, compute" in full
    assert "Run against run, compute" in markdown.read_text()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "a comparison needs two runs or more"),
        ((FIRST,), "a comparison needs two runs or more"),
        ((FIRST, FIRST), "is given twice: give each run once"),
        ((FIRST, "20260101T000000Z-quack"), "unknown run '20260101T000000Z-quack': did you mean"),
        ((FIRST, "20260105T000000Z-sweep"), "is the result of bench sweep: choose a run"),
        ((FIRST, "20260104T000000Z-newer"), "its schema 99 is newer than the 3 that this version reads"),
        ((FIRST, "20260106T000000Z-empty"), "has no readable record (no launch has finished): choose another run"),
    ],
)
def test_a_run_that_cannot_be_compared_is_one_line(names, message, tmp_path, capsys):
    write_run(tmp_path, FIRST, make_records(STEPS))
    newer = [one.model_copy(update={"schema_version": 99}) for one in make_records(STEPS)]
    write_run(tmp_path, "20260104T000000Z-newer", newer)
    (tmp_path / "20260105T000000Z-sweep" / sweep_record.FOLDER).mkdir(parents=True)
    (tmp_path / "20260106T000000Z-empty" / "records").mkdir(parents=True)
    status, out, err = run_compare(capsys, *names, "--results", tmp_path)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize("damage", ["cut off", "edited"])
def test_a_record_that_cannot_be_read_is_named_and_the_rest_compared(damage, tmp_path, capsys):
    write_run(tmp_path, FIRST, make_records(STEPS))
    run = write_run(tmp_path, SECOND, make_records(STEPS))
    path = sorted((run / "records").iterdir())[0]
    text = path.read_text()
    path.write_text(text[: len(text) // 2] if damage == "cut off" else text.replace('"quick"', '"quack"'))
    status, out, _ = run_compare(capsys, FIRST, SECOND, "--results", tmp_path)
    assert status == 1
    assert f"B: records/{path.name} is left out" in out
    assert "no difference found" in out


def test_an_output_that_cannot_be_written_is_found_out_first(tmp_path, capsys):
    write_run(tmp_path, FIRST, make_records(STEPS))
    write_run(tmp_path, SECOND, make_records(STEPS))
    missing = tmp_path / "missing" / "c.html"
    status, out, err = run_compare(capsys, FIRST, SECOND, "--results", tmp_path, "--html", missing)
    assert (status, out) == (2, "")
    assert f"cannot write {missing}: No such file or directory" in err


def test_read_runs_takes_no_more_runs_than_letters(tmp_path):
    with pytest.raises(UserError, match="27 runs are too many: give 26 or fewer"):
        read_runs([tmp_path / str(number) for number in range(27)])
