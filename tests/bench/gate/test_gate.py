"""`bench gate` as a user runs it: a real repository, real commits and processes, and arithmetic for frameworks."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from bench.analysis.metrics import resolve_margins
from bench.errors import UserError
from bench.gate import clone, gate_report
from bench.gate import gate_run as command
from bench.gate.decision import DECISION_POINTS, Verdict
from bench.gate.gate_options import GateOptions
from bench.gate.judgement import LaunchPair, judge_pairs
from bench.records.launch_figures import LaunchFigures
from bench.records.record import Conditions
from tests.bench.example_records import QUIET
from tests.bench.gate.repository import git, list_left_over
from tests.bench.processes import Bench, living, wait_until

STEP = "        loss, gradient = self.of_features(self.features(images), labels)\n"
START = "        self.started = 0\n"
BALLAST = (START, START + "        self.ballast = np.ones(200 * 2**20, np.uint8)\n")
ARITHMETIC = "tests/bench/arithmetic/__init__.py"
#: A step of arithmetic takes microseconds, so its times vary more than a framework's.
COARSE = ("--margin", "30%", "--margin", "first-step=99%")


def replace_in_file(project: Path, old: str, new: str, name: str = ARITHMETIC) -> None:
    file = project / name
    assert file.read_text().count(old) == 1
    file.write_text(file.read_text().replace(old, new))


def gate(project: Path, *arguments: object, **planted: str) -> Bench:
    suite = project.parent / "small.toml"
    command = ("gate", "--against", "base", "--suite", suite, "--backend", "pytorch", *arguments)
    scratch = project.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return Bench(*command, cwd=project, TMPDIR=str(scratch), **planted)


@pytest.fixture
def here(command_line, arithmetic_here, monkeypatch):
    """Runs a gate on the project in a folder, in this process, up to the first measurement."""

    def run(project: Path, *arguments: object):
        monkeypatch.chdir(project)
        monkeypatch.setattr(clone, "PROJECT", project)
        monkeypatch.setattr(command, "measure_pairs", lambda *_: pytest.fail("something was measured"))
        suite = project.parent / "small.toml"
        return command_line("gate", "--against", "base", "--suite", suite, "--backend", "pytorch", *arguments)

    return run


@pytest.fixture
def error_of(here):
    """As `here`, for calls that have to be refused; returns the line of the error."""

    def run(project: Path, *arguments: object) -> str:
        status, out, err = here(project, *arguments)
        assert (status, out) == (2, "")
        assert len([line for line in err.splitlines() if line.startswith("bench: ")]) == 1, err
        return err.splitlines()[-1]

    return run


@pytest.mark.thorough
def test_a_slower_step_and_more_memory_are_found_and_reported_everywhere(project, tmp_path):
    """The base's worker is older, and reports two figures less than the head's."""
    worker = project / "bench/worker/plugin.py"
    now = worker.read_text()
    replace_in_file(project, ', "closing", "harness")\n', ")\n", "bench/worker/plugin.py")
    git(project, "commit", "--quiet", "--all", "--message", "older")
    git(project, "tag", "--force", "base")
    worker.write_text(now)
    replace_in_file(project, STEP, 4 * STEP)
    replace_in_file(project, *BALLAST)
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
    report = json.loads(files[0].read_text())
    assert report["commit"] == git(project, "rev-parse", "base")
    pipeline = report["cases"][0]["metrics"]["pipeline"]
    assert pipeline["verdict"] == "slower"
    assert 1 < pipeline["change"] < 10
    assert pipeline["interval"][0] > 0
    assert "| pytorch/default cifar10-resnet18 | pipeline |" in files[1].read_text()
    assert files[3].read_text() == files[1].read_text()
    failures = {
        case.get("name") for case in ElementTree.parse(files[2]).iter("testcase") if case.find("failure") is not None
    }
    assert "pipeline" in failures
    assert (git(project, "status", "--porcelain"), (project / ".git/index").read_bytes()) == before
    assert list_left_over(project) == []
    assert git(project, "worktree", "list").count("\n") == 0


@pytest.mark.slow
@pytest.mark.thorough
def test_a_step_that_computes_something_else_fails_after_one_pair(project):
    """The step leaves out the momentum."""
    replace_in_file(project, "self.task.momentum * v - self.task", "0.5 * v - self.task")
    with gate(project, *COARSE, OMP_DYNAMIC="true") as bench:
        assert bench.end() == 1, bench.stdout + bench.stderr
    assert "parity with the base failed: trajectory" in bench.stdout
    assert "warning variable-not-obeyed: OMP_DYNAMIC was true and is not set in the worker; unset it" in bench.stdout
    assert "1 launch pair," in bench.stdout
    assert not re.search(r"^  warning (?!.*1 of 1 launch pairs: )", bench.stdout, re.M)


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
    assert command.choose_exit_status(verdicts, mapped) == status


@pytest.mark.parametrize(("budget", "pairs"), [(None, DECISION_POINTS[-1]), (65.0, 6), (89.0, 8)])
def test_an_open_verdict_at_the_end_of_the_time_is_undecided(monkeypatch, budget, pairs):
    """Pairs take 10 s each; another one starts only if it would end in time."""
    monkeypatch.setattr(command, "time", SimpleNamespace(monotonic=itertools.count(step=10.0).__next__))
    noisy = (make_pair(step) for step in itertools.cycle((1.2, 0.8)))
    judged = command.measure_until_verdict(noisy, "step", resolve_margins(()), 1, 0.01, budget, lambda line: None)
    assert (judged.verdict, judged.launches) == (Verdict.UNDECIDED, pairs)


def test_a_time_below_that_of_the_first_decision_point_is_refused(monkeypatch):
    monkeypatch.setattr(command, "time", SimpleNamespace(monotonic=itertools.count(step=10.0).__next__))
    with pytest.raises(UserError, match="6 launch pairs, the fewest for a verdict, take about 60 s here"):
        command.measure_until_verdict(
            iter([make_pair(1.0)]), "step", resolve_margins(()), 1, 0.01, 59.0, lambda line: None
        )


def make_pair(step: float, conditions: Conditions | None = None) -> LaunchPair:
    return LaunchPair(
        LaunchFigures("step", {"step": (1.0,) * 4}),
        LaunchFigures("step", {"step": (step,) * 4}),
        None,
        10.0,
        conditions,
    )


def test_warnings_about_the_machine_stand_under_the_verdict_and_in_the_files():
    pairs = [make_pair(1.0, QUIET.model_copy(update={"other_cpu": share})) for share in (0.01, 0.3, 0.2)]
    margins = resolve_margins(())
    judged = judge_pairs(pairs, margins, 1, 0.01)
    line = "warning busy-machine, 2 of 3 launch pairs: other processes used 30% of the CPU for 60 s; close them, or"
    comparison = gate_report.Comparison("main", {}, margins, 0.01)
    assert gate_report.format_lines(judged, margins)[-1].startswith(f"  {line}")
    assert f"- step: {line}" in gate_report.format_markdown(comparison, [judged])
    (case,) = json.loads(gate_report.format_json(comparison, [judged]))["cases"]
    assert [warning["name"] for warning in case["warnings"]] == ["busy-machine"]


def test_a_change_that_no_step_depends_on_passes_at_once(project, here, monkeypatch):
    replace_in_file(project, "# Head-to-Head", "# Head to head", "README.md")
    passed = here(project, "--skip-unchanged")
    assert passed.status == 0
    assert "nothing that training depends on has changed" in passed.out
    replace_in_file(project, "PIPELINE = 1e-5", "PIPELINE = 2e-5", "bench/parity/tolerances.py")
    with pytest.raises(pytest.fail.Exception, match="something was measured"):
        here(project, "--skip-unchanged")


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_gate_that_is_stopped_leaves_no_process_and_no_file(project, end):
    with gate(project, *COARSE) as bench:
        bench.until(lambda: "pair 1:" in bench.stderr)
        assert wait_until(bench.workers, 30)
        workers = bench.workers()
        bench.process.send_signal(end)
        assert bench.end(30) == {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130}[end]
        assert wait_until(lambda: not living(workers), 5)
    assert wait_until(lambda: list_left_over(project) == [], 5)
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.slow
def test_an_arm_that_does_not_start_cannot_be_compared(project):
    replace_in_file(project, START, "        raise RuntimeError('broken on purpose')\n")
    with gate(project) as bench:
        assert bench.end() == 2
    assert (
        "cannot compare: the worker of pytorch/default cifar10-resnet18 in the working tree died in build"
        in bench.stderr
    )
    assert "broken on purpose" in bench.stderr
    assert len([line for line in bench.stderr.splitlines() if line.startswith("bench:")]) == 1


@pytest.mark.slow
def test_a_time_that_is_too_short_is_refused_with_the_time_needed(project):
    with gate(project, "--max-time", "2s") as bench:
        assert bench.end() == 2
    assert re.search(r"6 launch pairs, the fewest for a verdict, take about \d+ s here", bench.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "nothing"], "unknown revision 'nothing': fetch it"),
        (["--against=--version"], "unknown revision"),
        (["--margin", "0%"], "above 0 %"),
        (["--margin", "speed=3%"], "unknown metric 'speed'"),
        (["--undecided", "maybe"], "use one of pass, fail"),
        (["--base-env", "nowhere"], "nowhere is no environment"),
        (["--backend", "pytorhc"], "did you mean 'pytorch'"),
        (["--json", "no/such/folder/gate.json"], "cannot write no/such/folder/gate.json"),
        (["--suite", "gat"], "did you mean 'gate'"),
        (["--baseline", "main"], "give exactly one of --against REV, --baseline NAME and --against-package"),
        (["--target", "tests/test_step.py"], "leave out --backend"),
    ],
)
def test_mistakes_are_one_line(pristine, error_of, arguments, message):
    assert message in error_of(pristine, *arguments)


@pytest.mark.parametrize("option", [{"skip_unchanged": True}, {"base_env": Path("venv")}, {"allow": ("versions",)}])
def test_an_option_without_effect_is_refused(option):
    """With another package both arms have the same files, so that nothing could have changed."""
    with pytest.raises(UserError, match=r"^--(base-env and --skip-unchanged|allow) go"):
        GateOptions(packages=("torch==2.13.0",), **option).check()


def test_a_case_that_the_base_has_and_the_working_tree_lacks(project, error_of):
    replace_in_file(project, '"pytorch": BackendEntry', '"torch": BackendEntry', "backends/__init__.py")
    assert "has cases that the working tree lacks (pytorch cifar10-resnet18): restore them" in error_of(project)


def test_a_base_without_the_suite_and_a_shallow_clone_are_explained(project, error_of):
    git(project, "checkout", "--quiet", "--orphan", "other")
    git(project, "rm", "--quiet", "-r", "--cached", ".")
    git(project, "commit", "--quiet", "--allow-empty", "--message", "empty")
    git(project, "checkout", "--quiet", "--force", "base")
    assert "has no bench/worker/__main__.py" in error_of(project, "--against", "other")
    (project / "more").touch()
    git(project, "add", "more")
    git(project, "commit", "--quiet", "--message", "more")
    shallow = project.parent / "shallow"
    git(project, "branch", "main-line")
    git(project.parent, "clone", "--quiet", "--depth", "1", "--branch", "main-line", f"file://{project}", str(shallow))
    assert "fetch-depth: 0" in error_of(shallow)


def test_where_there_is_no_repository(project, error_of):
    shutil.rmtree(project / ".git")
    assert "is in no git repository" in error_of(project)
