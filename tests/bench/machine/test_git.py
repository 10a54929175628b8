"""Git answers the same under any configuration and in any hook, and a failure is one line that says what to do."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from bench.errors import UserError
from bench.machine import environment
from bench.machine import git as module
from bench.machine.environment import describe_git
from bench.machine.git import GitError, run_git
from tests.bench.gate.repository import git, make_repository, read_hook_variables, write_program
from tests.bench.processes import living, wait_until

#: Settings that make git print more and start programs; each program writes its name into the file `started`.
CONFIGURATION = """
[log]
    showSignature = true
[color]
    ui = always
[core]
    fsmonitor = {folder}/monitor
    hooksPath = {folder}/hooks
    quotePath = true
    splitIndex = true
[status]
    branch = true
    showUntrackedFiles = all
    submoduleSummary = true
[diff]
    external = false
    ignoreSubmodules = all
[commit]
    gpgSign = true
[gpg]
    program = {folder}/gpg
"""
SIGNATURE = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n none\n -----END PGP SIGNATURE-----\n\n"


@pytest.fixture
def repository(tmp_path) -> Path:
    """A repository with one commit, which is signed."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "file").write_text("1\n")
    make_repository(folder)
    signed = git(folder, "cat-file", "commit", "HEAD").replace("\n\n", f"\n{SIGNATURE}", 1)
    (folder.parent / "commit").write_text(f"{signed}\n")
    git(folder, "reset", "--hard", git(folder, "hash-object", "-t", "commit", "-w", str(folder.parent / "commit")))
    return folder


@pytest.fixture
def wrap_git(tmp_path, monkeypatch):
    """Puts a shell script before git in PATH; `$GIT` in it is git."""

    def wrap(text: str) -> None:
        write_program(tmp_path / "programs/git", f"GIT={shutil.which('git')}\n{text}")
        monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}{os.pathsep}{os.environ['PATH']}")

    return wrap


@pytest.fixture
def configured(tmp_path, monkeypatch) -> Path:
    """A user's configuration; the file that its programs write into."""
    folder = tmp_path / "configured"
    folder.mkdir()
    (folder / "config").write_text(CONFIGURATION.format(folder=folder))
    for name in ("monitor", "gpg", "hooks/post-index-change", "hooks/pre-commit"):
        write_program(folder / name, f"echo {name} | tee -a {folder}/started >&2; exit 1")
    for name, value in {"GIT_CONFIG_GLOBAL": f"{folder}/config", "GIT_TRACE": "1", "LC_ALL": "de_DE.UTF-8"}.items():
        monkeypatch.setenv(name, value)
    return folder / "started"


def test_the_users_configuration_changes_no_answer(repository, configured):
    described = describe_git(repository)
    assert described == {
        "revision": git(repository, "rev-parse", "HEAD"),
        "time": git(repository, "log", "--max-count=1", "--format=%cI"),
        "dirty": False,
    }
    (repository / "file").write_text("2\n")
    assert describe_git(repository) == described | {"dirty": True}
    assert not configured.exists(), configured.read_text()


def test_in_a_hook_of_another_repository_git_works_on_the_folders_own(repository, tmp_path, monkeypatch):
    described = describe_git(repository)
    for name, value in read_hook_variables(tmp_path / "other").items():
        monkeypatch.setenv(name, value)
    assert describe_git(repository) == described


def test_all_variables_that_git_calls_local_are_left_out_but_those_of_the_configuration(repository):
    for name in run_git(repository, "rev-parse", "--local-env-vars").split():
        assert name.startswith("GIT_CONFIG_") or not name.startswith(module.KEPT_VARIABLES), name


def test_git_that_does_not_trust_the_owner_names_the_way_out(repository, wrap_git):
    """The variable is git's own, for its tests: to change a file's owner needs root."""
    wrap_git('GIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec $GIT "$@"')
    lines: list[str] = []
    described = describe_git(repository, lines.append)
    way_out = "if you do, run git config --global --add safe.directory"
    assert len(lines) == 1
    assert "The git revision is not recorded: git does not trust this repository (detected dubious owner" in lines[0]
    assert lines[0].endswith(f"{way_out} {repository}")
    assert described.keys() == {"problem"}
    assert described["problem"].endswith(f"{way_out} …/repository")
    assert str(repository.parent) not in described["problem"]


def test_a_repository_without_a_commit_has_no_revision(tmp_path):
    git(tmp_path, "init", "--quiet")
    assert describe_git(tmp_path) == {
        "problem": f"the repository of …/{tmp_path.name} has no commit yet: commit its files"
    }


@pytest.mark.parametrize("command", [("run",), ("sweep", "--epochs", "1,2")])
def test_a_run_without_a_revision_says_so(tmp_path, command_line, arithmetic_here, monkeypatch, capsys, command):
    git(tmp_path, "init", "--quiet")
    monkeypatch.setattr(environment, "PROJECT", tmp_path)
    where = ("--task", "embedded", "--weights", "random", "--results", tmp_path)
    with pytest.raises(pytest.fail.Exception, match="something was measured"):
        command_line(*command, *where)
    line = f"The git revision is not recorded: the repository of {tmp_path} has no commit yet: commit its files"
    assert line in capsys.readouterr().out.splitlines()
    (file,) = tmp_path.glob("*/environment.json")
    assert list(json.loads(file.read_text())["git"]) == ["problem"]


def test_git_that_is_not_there_or_too_old_is_one_line(repository, wrap_git, monkeypatch):
    wrap_git('case "$*" in *status*) echo "error: unknown option" >&2; exit 129;; esac; exec $GIT "$@"')
    with pytest.raises(UserError, match=r"this git is too old for `git status -z` \(unknown option\): install a newer"):
        run_git(repository, "status", "-z")
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(UserError, match=r"git cannot be started .*: install it"):
        run_git(repository, "status")
    assert "install it" in describe_git(repository)["problem"]


def test_git_that_hangs_is_stopped_with_all_that_it_has_started(repository, tmp_path):
    git(repository, "config", "filter.slow.clean", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    (repository / ".gitattributes").write_text("file filter=slow\n")
    (repository / "file").write_text("2\n")
    began = time.monotonic()
    with pytest.raises(UserError, match=r"git add gave no answer for 0\.5 s in .*: see why `git status` hangs there"):
        run_git(repository, "add", "file", timeout=0.5)
    assert time.monotonic() - began < 10
    started = int((tmp_path / "pid").read_text())
    assert wait_until(lambda: not psutil.pid_exists(started) or not living([psutil.Process(started)]), 5)


def test_names_that_are_not_utf8_are_as_python_has_them(repository):
    name = os.fsdecode(b"\xff\n.py")
    (repository / name).touch()
    assert run_git(repository, "ls-files", "--others", "-z") == f"{name}\0"


class Locked(BaseHTTPRequestHandler):
    """Answers that a password is needed."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="locked"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_git_asks_for_no_password(repository, monkeypatch):
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Locked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(GitError, match=r"could not read Username .* terminal prompts disabled"):
            run_git(repository, "ls-remote", f"http://127.0.0.1:{server.server_port}/locked", timeout=20)
        server.shutdown()
