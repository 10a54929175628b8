"""`bench gate` as a user runs it: a repository of its own, real commits, real processes, arithmetic for frameworks."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.commands import gate as command
from bench.errors import UserError
from bench.gate.ask import Ask
from bench.gate.decision import Verdict
from tests.bench.gate.repository import git, left_over, made
from tests.bench.processes import PROJECT, Bench, living, wait_until

SUITE = """
description = "As small as can be"
launches = 20
rounds = 4
round_seconds = 0.05
proof_images = 4
proof_steps = 3

[[entries]]
task = "cifar10-resnet18"
override = { weights = "random", dataset = "digits", train_limit = 64, epochs = 1 }
fine_tune = false
"""
STEP = "        loss, gradient = self.loss_and_gradient(images, labels)\n"
START = "        self.started = 0\n"
BALLAST = (START, START + "        self.ballast = np.ones(200 * 2**20, np.uint8)\n")
ARITHMETIC = "tests/bench/arithmetic/__init__.py"
#: Arithmetic takes microseconds a step, so its figures scatter more than a framework's.
COARSE = ("--margin", "30%", "--margin", "first-step=90%")


@pytest.fixture
def project(tmp_path):
    """This project as a repository of its own with one commit, `base`."""
    folder = tmp_path / "project"
    names = git(PROJECT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in names:
        if not name.startswith("results/") and (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, folder / name)
    (tmp_path / "small.toml").write_text(SUITE)
    return made(folder)


def edit(project: Path, old: str, new: str, name: str = ARITHMETIC) -> None:
    file = project / name
    assert file.read_text().count(old) == 1
    file.write_text(file.read_text().replace(old, new))


def gate(project: Path, *arguments: object, **planted: str) -> Bench:
    suite = project.parent / "small.toml"
    command = ("gate", "--against", "base", "--suite", suite, "--backend", "pytorch", *arguments)
    scratch = project.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return Bench(*command, cwd=project, TMPDIR=str(scratch), **planted)


@pytest.mark.slow
def test_a_slower_step_and_more_memory_are_found_and_told_everywhere(project, tmp_path):
    """By a base whose worker is older than two of the figures that the head's tells."""
    worker = project / "bench/worker/plugin.py"
    now = worker.read_text()
    for figure in ("closing", "harness"):
        edit(project, f'                "{figure}_s": spent["{figure}"],\n', "", "bench/worker/plugin.py")
    git(project, "commit", "--quiet", "--all", "--message", "older")
    git(project, "tag", "--force", "base")
    worker.write_text(now)
    edit(project, STEP, 2 * STEP)
    edit(project, *BALLAST)
    before = git(project, "status", "--porcelain"), (project / ".git/index").read_bytes()
    files = [tmp_path / name for name in ("gate.json", "gate.md", "gate.xml", "summary.md")]
    options = [*COARSE, "--json", files[0], "--markdown", files[1], "--junit", files[2]]
    with gate(project, *options, GITHUB_STEP_SUMMARY=str(files[3])) as bench:
        assert bench.end() == 1, bench.stdout + bench.stderr
    line = (
        r"pytorch/default cifar10-resnet18: [\d.]+ % slower \(99 % interval [\d.]+ … [\d.]+ %\).*, \d+ launch pairs, "
    )
    assert re.search(line, bench.stdout), bench.stdout
    assert re.search(r"pair 2: pipeline [+-]", bench.stderr)
    assert re.search(r"host-memory: slower: [\d.]+ % more", bench.stdout)
    assert re.search(r"most of it in \S.* ms, was .* ms; .*\(one launch pair, no interval\)", bench.stdout), (
        "the profile"
    )
    told = json.loads(files[0].read_text())
    assert told["commit"] == git(project, "rev-parse", "base")
    pipeline = told["cases"][0]["metrics"]["pipeline"]
    assert pipeline["verdict"] == "slower"
    assert 0.4 < pipeline["change"] < 1.5
    assert pipeline["interval"][0] > 0
    assert "| pytorch/default cifar10-resnet18 | pipeline |" in files[1].read_text()
    assert files[3].read_text() == files[1].read_text()
    failures = {
        case.get("name") for case in ElementTree.parse(files[2]).iter("testcase") if case.find("failure") is not None
    }
    assert "pipeline" in failures
    assert (git(project, "status", "--porcelain"), (project / ".git/index").read_bytes()) == before
    assert left_over(project) == []
    assert git(project, "worktree", "list").count("\n") == 0


@pytest.mark.slow
def test_another_computation_is_no_matter_of_intervals(project):
    """A step that forgets the momentum: the first pair finds it."""
    edit(project, "self.task.momentum * v - self.task", "0.5 * v - self.task")
    with gate(project, *COARSE) as bench:
        assert bench.end() == 1, bench.stdout + bench.stderr
    assert "parity with the base failed: trajectory" in bench.stdout
    assert "1 launch pair," in bench.stdout


@pytest.mark.parametrize(
    ("verdicts", "mapped", "status"),
    [
        ((Verdict.PASS, Verdict.FASTER), None, 0),
        ((Verdict.PASS, Verdict.SLOWER, Verdict.UNDECIDED), "pass", 1),
        ((Verdict.PASS, Verdict.UNDECIDED), None, 3),
        ((Verdict.PASS, Verdict.UNDECIDED), "pass", 0),
        ((Verdict.PASS, Verdict.UNDECIDED), "fail", 1),
    ],
)
def test_exit_statuses(verdicts, mapped, status):
    assert command.exit_status(verdicts, mapped) == status


def test_what_no_step_depends_on_passes_at_once(project):
    edit(project, "# Head-to-Head", "# Head to head", "README.md")
    with gate(project, "--skip-unchanged") as bench:
        assert bench.end(60) == 0, bench.stderr
    assert "nothing that training depends on has changed" in bench.stdout
    edit(project, "PIPELINE = 1e-5", "PIPELINE = 2e-5", "bench/parity.py")
    with gate(project, "--skip-unchanged") as bench:
        assert not wait_until(lambda: bench.process.poll() is not None, 5)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_gate_that_is_stopped_leaves_nobody_and_nothing(project, end):
    with gate(project, *COARSE) as bench:
        bench.until(lambda: "pair 1:" in bench.stderr)
        assert wait_until(bench.workers, 30)
        workers = bench.workers()
        bench.process.send_signal(end)
        assert bench.end(30) == {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130}[end]
        assert wait_until(lambda: not living(workers), 5)
    assert wait_until(lambda: left_over(project) == [], 5)
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.slow
def test_an_arm_that_does_not_start_cannot_be_compared(project):
    edit(project, START, "        raise RuntimeError('broken on purpose')\n")
    with gate(project) as bench:
        assert bench.end() == 2
    assert (
        "cannot compare: the worker of pytorch/default cifar10-resnet18 in the working tree died in build"
        in bench.stderr
    )
    assert "broken on purpose" in bench.stderr
    assert len([line for line in bench.stderr.splitlines() if line.startswith("bench:")]) == 1


@pytest.mark.slow
def test_a_time_that_is_too_short_is_refused_with_what_it_takes(project):
    with gate(project, "--max-time", "2s") as bench:
        assert bench.end() == 2
    assert re.search(r"6 launch pairs, the fewest for a verdict, take about \d+ s here", bench.stderr)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--against", "nothing"], "unknown revision 'nothing': fetch it"),
        (["--against", "--version"], "unknown revision"),
        (["--margin", "0%"], "above 0 %"),
        (["--margin", "speed=3%"], "unknown metric 'speed'"),
        (["--undecided", "maybe"], "use pass or fail"),
        (["--base-env", "nowhere"], "nowhere is no environment"),
        (["--backend", "pytorhc"], "did you mean 'pytorch'"),
        (["--json", "no/such/folder/gate.json"], "cannot write no/such/folder/gate.json"),
        (["--suite", "gat"], "did you mean 'gate'"),
        (["--baseline", "main"], "compare with one thing: --against REV, --baseline NAME or --against-package"),
        (["--target", "tests/test_step.py"], "leave out --task and --backend"),
    ],
)
def test_mistakes_are_one_line(project, arguments, said):
    with gate(project, *arguments) as bench:
        assert bench.end(60) == 2
    assert said in bench.stderr
    assert len(bench.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("option", [{"skip_unchanged": True}, {"base_env": Path("venv")}, {"allow": ("versions",)}])
def test_an_option_that_would_mean_nothing_is_refused(option):
    """Both arms of another package have the same files, so that nothing would ever have changed."""
    with pytest.raises(UserError, match=r"^--(base-env and --skip-unchanged|allow) go"):
        Ask(packages=("torch==2.13.0",), **option).check()


def test_a_case_that_the_base_has_and_the_working_tree_lacks(project):
    edit(project, '"pytorch": Entry', '"torch": Entry', "backends/__init__.py")
    with gate(project) as bench:
        assert bench.end(60) == 2
    assert "has cases that the working tree lacks (pytorch cifar10-resnet18): bring them back" in bench.stderr


def test_a_base_without_the_suite_and_a_shallow_clone_are_told(project):
    git(project, "checkout", "--quiet", "--orphan", "other")
    git(project, "rm", "--quiet", "-r", "--cached", ".")
    git(project, "commit", "--quiet", "--allow-empty", "--message", "empty")
    git(project, "checkout", "--quiet", "--force", "base")
    with gate(project, "--against", "other") as bench:
        assert bench.end(60) == 2
    assert "has no bench/worker/__main__.py" in bench.stderr
    (project / "more").touch()
    git(project, "add", "more")
    git(project, "commit", "--quiet", "--message", "more")
    shallow = project.parent / "shallow"
    git(project, "branch", "main-line")
    git(project.parent, "clone", "--quiet", "--depth", "1", "--branch", "main-line", f"file://{project}", str(shallow))
    with gate(shallow) as bench:
        assert bench.end(60) == 2
    assert "fetch-depth: 0" in bench.stderr


def test_where_there_is_no_repository(project):
    shutil.rmtree(project / ".git")
    with gate(project) as bench:
        assert bench.end(60) == 2
    assert "is in no git repository" in bench.stderr
