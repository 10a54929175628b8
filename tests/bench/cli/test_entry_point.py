"""The entry point: every end has its exit status and one line, and no output that fails ends a command."""

from __future__ import annotations

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

from bench.cli import app, entry_point, output_streams
from bench.cli.system_errors import describe_system_error
from bench.roofline import roofline_file, roofline_run
from bench.roofline.roofline_file import TaskMeasurement
from bench.selftest.findings import Finding
from tests.bench.example_records import record

PROJECT = Path(__file__).parents[3]


def run_process(*arguments: str, cwd: Path, **options) -> subprocess.CompletedProcess[str]:
    """Run `python -m bench` in a process."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), **options.pop("env", {})}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, encoding="utf-8", timeout=60, **streams)


@pytest.fixture
def temporary(monkeypatch, tmp_path) -> Path:
    """The folder for temporary files of this process."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def raise_error(error: BaseException):
    def fail(*_, **__):
        raise error

    return fail


def test_an_unexpected_error_is_one_line_with_a_status_of_its_own(command_line, monkeypatch, temporary):
    monkeypatch.setattr(app, "app", raise_error(KeyError("planted\nin two lines")))
    refusal = command_line("run")
    assert (refusal.status, refusal.out) == (70, "")
    (report,) = temporary.glob("head-to-head-error-*.txt")
    assert refusal.err.startswith("bench: unexpected error: KeyError: ")
    assert refusal.err.endswith(f": report it with the file {report}, which has the traceback\n")
    assert refusal.err.count("\n") == 1
    text = report.read_text()
    assert "command: bench run\n" in text
    assert 'File "bench/cli/entry_point.py", line ' in text, "of a path, no folder of the user's"
    assert "Traceback (most recent call last)" in text


def test_without_a_folder_for_the_report_the_traceback_is_shown(command_line, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    monkeypatch.setattr(app, "app", raise_error(KeyError("planted")))
    refusal = command_line("run")
    assert refusal.status == 70
    assert "Traceback (most recent call last)" in refusal.err
    assert refusal.err.splitlines()[-1].startswith("bench: unexpected error: KeyError: 'planted': report it with the")


def test_a_crash_in_a_thread_counts(command_line, monkeypatch, temporary):
    def crash(*_, **__):
        thread = threading.Thread(target=raise_error(ValueError("planted")))
        thread.start()
        thread.join()
        return 0

    monkeypatch.setattr(app, "app", crash)
    before = threading.excepthook
    refusal = command_line("doctor")
    assert refusal.status == 70
    assert refusal.err.startswith("bench: unexpected error: ValueError: planted: report it with the file ")
    assert threading.excepthook is before


def test_every_name_of_the_command_starts_the_entry_point(tmp_path):
    scripts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == dict.fromkeys(("bench", "head-to-head"), "bench.cli.entry_point:main")
    assert app.main is entry_point.main
    # A package that is broken, in front of the real one.
    (tmp_path / "cyclopts.py").write_text("raise RuntimeError('planted')\n")
    environment = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT}", "TMPDIR": str(tmp_path)}
    done = run_process("list", "tasks", cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout) == (70, "")
    assert done.stderr.startswith("bench: unexpected error: RuntimeError: planted: report it with the file ")
    assert done.stderr.count("\n") == 1


def test_a_folder_that_was_removed_and_an_output_that_cannot_be_written_are_answered(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f'cd {gone} && rmdir {gone} && exec "{sys.executable}" -m bench list suites'
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bench: the current folder no longer exists: change to another one\n"
    with Path("/dev/full").open("w") as full:
        done = run_process("list", "suites", cwd=tmp_path, stdout=full)
    assert done.returncode == 0
    assert done.stderr == "bench: the output is cut off: it could not be written (No space left on device)\n"


def test_a_pipe_that_is_closed_and_an_encoding_without_the_characters_are_no_error(tmp_path):
    ours, theirs = os.pipe()
    os.close(ours)
    done = run_process("list", "suites", cwd=tmp_path, stdout=theirs)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, "")
    environment = {"PYTHONIOENCODING": "ascii", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
    done = run_process("list", "suites", cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert " 6 x 4 " in done.stdout


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("ascii", "1.5 x [1.2-1.7] ... ~ +/- | - + ? ?"), ("cp1252", "1.5 × [1.2–1.7] … ~ ± | - + ? ?")],
)
def test_characters_that_an_encoding_lacks_are_substituted(encoding, text):
    codecs_known = output_streams.secure()  # registers the handler; the streams of a test are not the process' own
    assert codecs_known == []
    file = io.TextIOWrapper(io.BytesIO(), encoding, output_streams.SUBSTITUTE)
    print("1.5 × [1.2–1.7] … ≈ ± │ ─ ┼ 語 \udcff", end="", file=file)
    file.seek(0)
    assert file.read() == text


def test_a_descriptor_takes_everything_and_remembers_a_failure_that_matters():
    for reader in ("closed", "full"):
        if reader == "closed":
            ours, theirs = os.pipe()
            os.close(ours)
        else:
            theirs = os.open("/dev/full", os.O_WRONLY)
        descriptor = output_streams.Descriptor(theirs, "w")
        assert descriptor.write(b"lost") == 4
        assert descriptor.write(b"more") == 4
        assert (descriptor.problem is None) == (reader == "closed")
        descriptor.close()


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, "the disk is full: /a/b could not be written: free some space"),
        (errno.EACCES, "cannot use /a/b: Permission denied: choose another place, or ask for access"),
        (errno.EROFS, "cannot use /a/b: Read-only file system: choose a place that can be written"),
        (errno.EMFILE, "cannot use /a/b: Too many open files: raise the limit, as in ulimit -n 4096"),
        (errno.ENOENT, None),
    ],
)
def test_what_the_system_refuses_is_one_line(command_line, monkeypatch, temporary, number, line):
    error = OSError(number, os.strerror(number), "/a/b")
    assert describe_system_error(error) == line
    monkeypatch.setattr(app, "app", raise_error(error))
    refusal = command_line("run")
    assert refusal.status == (2 if line else 70)
    assert refusal.err.count("\n") == 1
    assert line is None or refusal.err == f"bench: {line}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="root gives up its rights as Linux lets it")
def test_a_folder_above_that_cannot_be_read_is_one_line(command_line, tmp_path, monkeypatch):
    private = tmp_path / "private"
    private.mkdir()
    commands = [("show", "--results", private / "r"), ("baseline", "list", "--results", private / "r"), ("doctor",)]
    monkeypatch.setenv("TORCH_HOME", str(private / "torch"))
    for command in commands:  # imports what they need, which another user may not read
        command_line(*command)
    root = os.geteuid() == 0
    private.chmod(0)
    if root:
        os.seteuid(65534)
    try:
        ended = [command_line(*command) for command in commands]
    finally:
        if root:
            os.seteuid(0)
        private.chmod(0o700)
    assert [one.status for one in ended] == [2, 2, 0]
    for one in ended[:2]:
        assert one.err.startswith(f"bench: cannot use {private}/r")
        assert one.err.endswith(": Permission denied: choose another place, or ask for access\n")
        assert one.err.count("\n") == 1
    assert "Permission denied" in " ".join(ended[2].out.split())


def test_closed_standard_descriptors_are_opened(tmp_path):
    """Otherwise the socket of a worker would get one of their numbers."""
    code = (
        "import os; from bench.cli import output_streams; output_streams.secure(); "
        f"number = os.open({str(tmp_path / 'file')!r}, os.O_WRONLY | os.O_CREAT); os.write(number, b'%d' % number)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = f'exec {sys.executable} -c "{code}" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", command], env=environment, timeout=60).returncode == 0
    assert (tmp_path / "file").read_text() == "3"


def test_no_folder_for_temporary_files_is_one_line():
    error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/var/tmp']")
    assert describe_system_error(error).startswith("no temporary folder can be written (No usable temporary directory")


def test_tables_of_what_is_finished_are_shown_when_a_proof_or_a_self_test_is_stopped(command_line, monkeypatch):
    def stop_after(item):
        def run(*_, **__):
            yield item
            raise KeyboardInterrupt

        return run

    monkeypatch.setattr("bench.measure.run.run_proofs", stop_after((None, [record()])))
    stopped = command_line("parity", "--task", "embedded", "--weights", "random")
    assert stopped.status == 130
    assert "hash of the image order" in stopped.out
    finding = Finding("the clock", "1 ns", "at most 1 µs", True)
    monkeypatch.setattr("bench.selftest.findings.run_checks", stop_after(finding))
    stopped = command_line("selftest")
    assert stopped.status == 130
    assert "at most 1 µs" in stopped.out
    assert stopped.err.endswith("bench: stopped\n")


def test_a_descriptor_that_does_not_block_gets_everything_and_a_full_pipe_is_waited_for():
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    got: list[bytes] = []

    def read() -> None:
        while part := os.read(ours, 65536):
            got.append(part)

    reader = threading.Thread(target=read)
    descriptor = output_streams.Descriptor(theirs, "w")
    reader.start()
    content = bytes(range(256)) * 2000  # more than a pipe holds
    assert descriptor.write(content) == len(content)
    descriptor.close()
    reader.join()
    os.close(ours)
    assert b"".join(got) == content


def test_the_tables_of_a_roofline_stand_without_its_file(command_line, monkeypatch, tmp_path):
    results = tmp_path / "results"

    def measure(console, plan, prepared):
        shutil.rmtree(results)
        return TaskMeasurement(prepared, [], [], [])

    monkeypatch.setattr(roofline_run, "_measure_task", measure)
    arguments = ("roofline", "--task", "embedded", "--weights", "random", "--results", results)
    ended = command_line(*arguments)
    assert (ended.status, ended.err) == (0, "")
    assert "warning: cannot write " in ended.out
    monkeypatch.setattr(
        roofline_run, "_measure_task", lambda *values: TaskMeasurement(values[2], [], [], [], KeyboardInterrupt())
    )
    stopped = command_line(*arguments)
    assert (stopped.status, stopped.err) == (130, "bench: stopped\n")
    assert len(list(results.glob(f"*-roofline/{roofline_file.FILE}"))) == 1, "what was measured until then"
    shutil.rmtree(results)
    results.write_text("")
    refusal = command_line(*arguments)
    assert refusal.status == 2
    assert refusal.err.startswith(f"bench: cannot write {results}: it is no folder")


@pytest.mark.parametrize("columns", ["0", "-1", "²", "9" * 9])
def test_a_size_that_no_terminal_has_changes_no_output(command_line, monkeypatch, columns):
    monkeypatch.delenv("COLUMNS", raising=False)
    usual = command_line("list", "tasks")
    monkeypatch.setenv("COLUMNS", columns)
    assert command_line("list", "tasks") == usual
    assert "cifar10-resnet18" in usual.out


#: A command that is stopped while Python evaluates a text, as the import of a dataclass does, and once more at its end.
STOPPED_TWICE = """
import atexit, os, signal
from bench.cli import app, entry_point

app.run_command_line = lambda _: eval("[os.kill(os.getpid(), signal.SIGTERM), *range(10**6)]")
atexit.register(os.kill, os.getpid(), signal.SIGINT)
entry_point.main()
"""

#: A command that is stopped by Ctrl-C while it imports the first module that it needs.
STOPPED_AT_ONCE = """
import os, signal, sys

class Interrupt:
    def find_spec(name, *_):
        if name == "bench.cli.output_streams":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt)
from bench.cli.entry_point import main
main()
"""


@pytest.mark.parametrize("script", [STOPPED_TWICE, STOPPED_AT_ONCE], ids=["twice", "at once"])
def test_a_stop_has_its_status_wherever_it_comes(tmp_path, script):
    (tmp_path / "stopped.py").write_text(script)
    ended = subprocess.run(
        [sys.executable, "-m", "stopped"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        # A background job's children ignore SIGINT, and the tests may run in one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "bench: stopped\n")
