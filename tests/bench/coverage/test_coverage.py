"""`bench coverage`: what is proven, what is kept, and mistakes in the call."""

from __future__ import annotations

import re

import pytest

from bench.cli.app import run_command_line
from bench.coverage import coverage_run
from bench.coverage.coverage_record import CoverageRecord, Evaluation, get_file, keep_record, read_records
from bench.coverage.coverage_table import build_table, describe_network
from bench.errors import UserError

ENGINES = ("jax", "tensorflow")


def make_record(name, *answers, **fields):
    evaluations = {
        engine: Evaluation(error=answer) if isinstance(answer, str) else Evaluation(difference=answer, seconds=1.0)
        for engine, answer in zip(ENGINES, answers, strict=False)
    }
    return CoverageRecord(name=name, family="resnet", evaluations=evaluations, **fields)


def test_a_difference_is_compared_with_what_pytorch_loses_itself():
    record = make_record("deep", 5e-5, 2e-4, rounding=1e-5)
    assert record.is_proven("jax")
    assert not record.is_proven("tensorflow")
    assert not make_record("flat", 5e-5, rounding=1e-7).is_proven("jax")
    assert not make_record("other", "ValueError: no").is_proven("jax")
    assert not record.is_proven("keras"), "it was not built there"
    assert not make_record("chaotic", 1e-7, rounding=0.05).is_proven("jax"), "PyTorch does not know its features"


def test_a_table_has_a_row_for_each_family_and_says_what_is_missing():
    records = [
        make_record("a", 1e-6, 2e-6, rounding=3e-7),
        make_record("b", 1e-6, 1e-2),
        make_record("c", 1e-6, "ValueError: no"),
        CoverageRecord(name="d", error="operation im2col"),
    ]
    table = build_table(records, ENGINES)
    rows = [[cell.text for cell in row] for row in table.rows]
    assert rows == [
        ["unknown", "1", "0", "0", "0", "", ""],
        ["resnet", "3", "3", "3", "1", "1e-02", "3e-07"],
        ["all", "4", "3", "3", "1", "1e-02", "3e-07"],
    ]
    assert set(table.notes) == {
        "tensorflow: other features: b",
        "tensorflow: ValueError: no: c",
        "not exported, operation im2col: d",
    }
    assert describe_network(records[3], ENGINES) == "d: not exported: operation im2col"
    assert "tensorflow 1e-02, more than 1e-05: another network" in describe_network(records[1], ENGINES)
    assert "tensorflow failed: ValueError: no" in describe_network(records[2], ENGINES)


def test_records_are_kept_and_a_line_that_was_cut_off_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    file = get_file()
    keep_record(file, make_record("a", 1.0))
    keep_record(file, make_record("b", 1.0))
    keep_record(file, make_record("a", 1e-6))
    with file.open("a") as opened:
        opened.write('{"name": "c", "fam')
    keep_record(file, make_record("d", 1.0))
    assert read_records(file) == {"a": make_record("a", 1e-6), "b": make_record("b", 1.0), "d": make_record("d", 1.0)}


def test_what_was_built_is_not_built_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    keep_record(get_file(), make_record("a", 1e-6))
    said = []
    coverage_run.cover(["a"], ["jax"], False, lambda *what: said.append(what))
    assert said == [(make_record("a", 1e-6), True)]


def test_ctrl_c_leaves_a_table_of_what_was_found(monkeypatch, capsys):
    def cover(names, engines, again, say):
        say(make_record("resnet18", 1e-6), True)
        raise KeyboardInterrupt

    monkeypatch.setattr(coverage_run, "list_timm_names", lambda *options: ["resnet18", "vit_tiny"])
    monkeypatch.setattr(coverage_run, "cover", cover)
    with pytest.raises(KeyboardInterrupt):
        run_command_line(["coverage", "resnet18", "vit_tiny", "--backend", "jax"])
    out = capsys.readouterr().out
    assert out.startswith("1 of 2: resnet18: ")
    assert re.search(r"all +1 +1 +1 +1e-06 +0e\+00", out)


@pytest.mark.parametrize(
    ("names", "sample", "message"),
    [
        ((), None, r"^no networks: name some, as resnet18, or draw a sample with --sample 20$"),
        (("resnet18",), 3, r"^networks and --sample: use one of them$"),
        (("timm/resnet81",), None, r"^timm has no network 'resnet81': did you mean resnet18"),
    ],
)
def test_a_mistake_in_the_networks_is_one_line(names, sample, message, monkeypatch):
    monkeypatch.setattr(coverage_run, "list_timm_names", lambda *options: ["resnet18", "vit_tiny"])
    with pytest.raises(UserError, match=message):
        coverage_run.choose_names(names, sample, 0, 10)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pytorch", r"^backend pytorch builds no exported networks: use one of tensorflow, keras, jax"),
        ("torch", r"^unknown backend 'torch'"),
    ],
)
def test_a_mistake_in_the_backends_is_one_line(name, message):
    with pytest.raises(UserError, match=message):
        coverage_run.choose_backends((name,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seed", "3"), "--seed 3: it is of a sample, which --sample 20 draws"),
        (("--most-parameters", "5"), "--most-parameters 5: it is of a sample, which --sample 20 draws"),
    ],
)
def test_what_is_of_a_sample_needs_one(options, message, capsys):
    assert run_command_line(["coverage", "resnet18", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_sample_that_timm_cannot_fill_is_named(monkeypatch, capsys):
    names = ["resnet18"]
    monkeypatch.setattr(coverage_run, "list_timm_names", lambda *options: names)
    assert coverage_run.choose_names((), 3, 0, 1_000_000) == names
    message = "--sample 3: timm has 1 networks with at most 1,000,000 parameters"
    assert capsys.readouterr().err == f"bench: {message}\n"
    assert coverage_run.choose_names((), 1, 0, 1_000_000) == names
    assert not capsys.readouterr().err
    names.clear()
    with pytest.raises(UserError, match="timm has 0 networks"):
        coverage_run.choose_names((), 3, 0, 1_000_000)


@pytest.mark.thorough
def test_a_network_of_timm_is_exported_and_proven_and_then_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    assert run_command_line(["coverage", "timm/resnet10t", "--backend", "jax"]) == 0
    assert "1 of 1: resnet10t: 4.9 M parameters" in capsys.readouterr().out
    assert run_command_line(["coverage", "resnet10t", "--backend", "jax"]) == 0
    assert "(kept)" in capsys.readouterr().out


@pytest.mark.thorough
def test_an_unknown_network_is_answered_with_the_nearest_of_timm(capsys):
    assert run_command_line(["coverage", "vit_tinny_patch16_224"]) == 2
    assert "did you mean vit_tiny_patch16_224, " in capsys.readouterr().err
