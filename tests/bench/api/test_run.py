"""`bench.run`: the options of the command, mistakes as one line, and a stop that keeps what is finished."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.api.run_options import SEVERAL, format_arguments, make_request
from bench.cli.app import app
from bench.cli.run import run as run_command
from bench.head_to_head import whole_run
from bench.head_to_head.whole_run import RunOutcome
from bench.plan.request import Request
from tests.bench.processes import PROJECT, _handle_signals, arithmetic, suite_file, wait_until

REFERENCE = PROJECT / "results/reference/20261126T164841Z-quick"
#: Options that only the command line has: an exit status, and what is printed.
#: Several machines are started by a command on each of them. One's own tests are run by pytest, from where they are.
ONLY_OF_THE_COMMAND = {
    *("strict", "full", "json", "quiet"),
    *("rendezvous", "nodes", "node_rank", "rendezvous_timeout"),
    *("target", "same_output", "same_output_tolerance", "PYTEST_ARGUMENTS"),
}


@pytest.fixture
def measured(monkeypatch):
    """Replaces the measurement by the reference run; holds what it was asked for."""
    found = []

    def measure(request: Request, console: object, **others: object) -> RunOutcome:
        found.append((request, console, others))
        return RunOutcome(REFERENCE, (), False)

    monkeypatch.setattr(whole_run, "measure_run", measure)
    return found


def test_it_takes_every_option_of_the_command():
    options = {name for argument in app["run"].assemble_argument_collection() for name in argument.names}
    names = {
        name.removeprefix("--").replace("-", "_") for name in options if not name.startswith(("--no-", "--empty-", "*"))
    }
    keywords = set(inspect.signature(bench.run).parameters) - {"unknown"}
    assert {SEVERAL.get(name, name) for name in keywords} - {"quiet"} == names - ONLY_OF_THE_COMMAND
    assert run_command.__doc__


def test_its_defaults_are_those_of_the_command():
    parameters = inspect.signature(bench.run).parameters.values()
    defaults = {one.name: one.default for one in parameters if one.name != "unknown"}
    assert make_request(defaults) == Request()
    assert format_arguments(defaults, defaults) == ["run"]


def test_a_call_asks_for_what_the_same_command_line_does(measured):
    run = bench.run(
        "embedded",
        ["pytorch", "keras"],
        batch_size=8,
        knobs={"precision": "bf16"},
        variants="matched",
        until=0.02,
        max_time="10m",
        cache_limit="1GB",
        data_dir="~/data",
        images="own images",
        mean=(0.485, 0.456, 0.406),
        std=0.25,
        isolated=True,
        quiet=True,
        results="elsewhere",
    )
    assert run.folder == REFERENCE
    ((request, console, others),) = measured
    assert request == Request(
        tasks=("embedded",),
        backends=("pytorch", "keras"),
        overrides={"batch_size": 8, "mean": (0.485, 0.456, 0.406), "std": (0.25, 0.25, 0.25)},
        variants=("matched",),
        knobs=("precision=bf16",),
        until=0.02,
        max_time=600.0,
        cache_limit=2**30,
        data_dir=Path("~/data").expanduser(),
        images=Path("own images"),
        isolated=True,
        results=Path("elsewhere"),
    )
    assert console.quiet
    assert (others["wait"], others["resume_run"]) == (False, None)
    words = others["command"]
    assert words[:7] == ["run", "--task", "embedded", "--backend", "pytorch", "--backend", "keras"]
    assert words[words.index("--knob") :][:2] == ["--knob", "precision=bf16"]
    assert "--isolated" in words


def test_the_command_line_in_its_records_makes_the_same_request(measured, command_line, monkeypatch):
    found = []
    monkeypatch.setattr("bench.cli.run.run_comparison", lambda request, **_: found.append(request) or 0)
    bench.run(
        ["embedded"],
        "pytorch",
        epochs=3,
        learning_rate=0.01,
        images="own",
        crop=48,
        mean=[0.1, 0.2, 0.3],
        std=0.25,
        cache_limit=3 * 2**29,
        until="2%",
        threads=2,
        devices=[1, 2],
    )
    ((request, _, others),) = measured
    command_line(*others["command"])
    assert found == [request]


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ({"task": "embeded"}, "unknown task 'embeded': did you mean 'embedded'"),
        ({"backends": "pytroch"}, "unknown backend 'pytroch': did you mean 'pytorch'"),
        ({"backend": "pytorch"}, "unknown option 'backend': did you mean 'backends'"),
        ({"launches": 0}, "launches=0: give a whole number, 1 or more"),
        ({"devices": (2, 0)}, "devices=(2, 0): give a whole number, 1 or more, or several of them"),
        ({"devices": "2"}, "devices='2': give a whole number"),
        ({"rounds": "many"}, "rounds='many': give a whole number, 2 or more"),
        ({"until": 2}, "is no share: give a percentage"),
        ({"max_time": "long"}, "is no time: give seconds"),
        ({"cache_limit": "4"}, "is no size: give MB"),
        ({"task": ["embedded", 3]}, "task: 3 is no name: give a text"),
        ({"data_dir": ""}, "data_dir: the path is empty"),
        ({"data_dir": 3}, "data_dir=3 is no path"),
        ({"images": 3}, "images=3 is no path"),
        ({"mean": "0.5"}, "mean='0.5': give three numbers, as (0.485, 0.456, 0.406), or one"),
        ({"std": (1, 2)}, "std=(1, 2): give three numbers"),
        ({"resume": "x", "epochs": 3}, "resume keeps the options that the run had: leave out epochs"),
        ({"task": "embedded", "epochs": 0}, "epochs"),
        ({"device": "cuda:99"}, "cuda"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_measured(call, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(whole_run, "measure_launches", lambda *_: pytest.fail("something was measured"))
    with pytest.raises(bench.UserError) as raised:
        bench.run(**call)
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


CALL = """
import bench
run = bench.run(suite={suite!r}, results={results!r}, quiet={quiet})
print(run, len(run.frame), run.frame.images_per_second.notna().all())
"""


def call(folder: Path, launches: int, quiet: bool) -> subprocess.Popen[str]:
    code = CALL.format(suite=str(suite_file(folder, launches)), results=str(folder / "results"), quiet=quiet)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=arithmetic(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_handle_signals,
    )


@pytest.mark.slow
def test_a_run_is_measured_stored_and_returned_and_says_nothing_if_it_is_to_be_quiet(tmp_path):
    out, err = call(tmp_path, 2, quiet=True).communicate(timeout=240)
    assert err == ""
    (line,) = out.splitlines()
    assert line.endswith(": 6 launches of keras/default, pytorch/default, tensorflow/default> 6 True")
    (run,) = (tmp_path / "results").iterdir()
    about = json.loads((run / "environment.json").read_text())
    assert about["run"]["command"].startswith("run --suite ")


@pytest.mark.slow
def test_a_stop_keeps_what_is_finished(tmp_path):
    process = call(tmp_path, 50, quiet=False)
    results = tmp_path / "results"
    assert wait_until(lambda: list(results.glob("*/records/*.json")), 120)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert "bench run --resume" in out
    assert len(bench.load(results=results).frame) % 3 == 0, "a launch whose records were being written is whole"


@pytest.mark.thorough
def test_a_small_run_with_a_real_framework(tmp_path):
    run = bench.run(
        suite=str(suite_file(tmp_path)), backends="pytorch", results=tmp_path / "results", train_limit=32, quiet=True
    )
    assert run.frame.backend.tolist() == ["pytorch"]
    assert run.frame.images_per_second.gt(0).all()
    assert run.verdict.text


@pytest.mark.parametrize(
    ("keyword", "value", "what_to_do"),
    [
        ("suite", 5, "give a text"),
        ("device", None, "give a text"),
        ("relative_to", 5, "give a text"),
        ("backbone", 5, "give a text"),
        ("weights", [], "give a text"),
        ("isolated", "no", "give True or False"),
        ("wait", "x", "give True or False"),
        ("cache_limit", 1.5, "give a number of bytes, or a text as 4GB"),
        ("cache_limit", True, "give a number of bytes, or a text as 4GB"),
        ("cache_limit", -5, "give a number of bytes, or a text as 4GB"),
        ("data_dir", b"x", "is no path: give a text or a pathlib.Path"),
        ("resume", 5, "is no path: give a text or a pathlib.Path"),
    ],
)
def test_a_value_of_another_type_is_one_line_and_nothing_is_measured(measured, keyword, value, what_to_do):
    with pytest.raises(bench.UserError, match=f"^{keyword}=.*{what_to_do}$"):
        bench.run(**{keyword: value})
    assert measured == []
