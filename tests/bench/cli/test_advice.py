"""Advice: an option that a message names is one of the command that prints it, or stands behind another one's name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from bench.analysis.warning_rules import RULES, RUN_WARNINGS
from bench.cli.app import app

PROJECT = Path(__file__).parents[3]
BENCH = PROJECT / "bench"
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
#: Another command, or another program, that an option in the same part of a sentence belongs to.
COMMAND = re.compile(r"bench ([a-z][a-z-]*)[^:;()]*$")
PROGRAM = re.compile(r"\b(?:pip|git|docker|cpupower) [^:;,]*$")

TRAINING = ("run", "parity", "tune", "explain", "roofline", "profile", "fit", "sweep", "gate")
#: The commands that print the messages of a file or a folder; the longest path counts. All others are of all commands
#: that train.
COMMANDS = {
    "analysis/metrics.py": ("gate",),
    "analysis/run_as_baseline.py": ("baseline save", "trend", "gate"),
    "analysis/warning_rules.py": (),  # see the test of warnings
    "compare": ("compare",),
    "compare/merged_runs.py": ("merge",),
    "coverage": ("coverage",),
    "fit": ("fit",),
    "data": (*TRAINING, "gate-selftest", "doctor"),
    "gate": ("gate",),
    "gate/error_rate_run.py": ("gate-selftest",),
    "head_to_head": ("run",),
    "machine/variable_table.py": ("run",),
    "measure/machine_lock.py": (*(name for name in TRAINING if name != "parity"), "gate-selftest", "selftest"),
    "measure/follower.py": ("run",),
    "measure/rendezvous.py": ("run",),
    "plan/several_devices.py": ("run", "parity", "profile"),
    "records/baseline.py": ("baseline save",),
    "records/result_kinds.py": ("run",),  # the names of commands
    "cli/result_row.py": ("run",),
    "cli/stored_results.py": ("run",),
    "cli/target_options.py": ("run",),
    "report/exchange": ("export",),
    "roofline": ("roofline",),
    "roofline/profile_run.py": ("profile",),
    "selftest": ("selftest",),
    "sweep": ("sweep",),
    "publish": ("publish",),
    "trend": ("trend",),
    "tune": ("tune",),
    "tune/explanation.py": ("explain",),
    "tune/explanation_output.py": ("explain",),
    "tune/explanation_run.py": ("explain",),
    "tune/explanation_tables.py": ("explain",),
    "weights": (*TRAINING, "gate-selftest", "doctor"),
    "weights/state_dict.py": TRAINING,  # what it reads was given with --checkpoint
    "weights/conversion.py": (*TRAINING, "gate-selftest"),
    "cli/baseline.py": ("baseline save",),
    "cli/list.py": ("list",),
    "cli/option_groups.py": ("run", "sweep"),
    **{
        f"cli/{name}.py": (name,)
        for name in (
            "compare",
            "coverage",
            "explain",
            "export",
            "fit",
            "merge",
            "gate",
            "plot",
            "profile",
            "run",
            "show",
            "sweep",
        )
    },
}


def list_options(command: App) -> set[str]:
    return {name for argument in command.assemble_argument_collection() for name in argument.names}


def list_commands() -> Iterator[tuple[str, set[str]]]:
    """Each command with its options; one with subcommands has theirs, too."""
    for name in (name for name in app if not name.startswith("-")):
        subcommands = {sub: list_options(app[name][sub]) for sub in app[name] if not sub.startswith("-")}
        yield name, set().union(*subcommands.values()) if subcommands else list_options(app[name])
        yield from ((f"{name} {sub}", options) for sub, options in subcommands.items())


OPTIONS = dict(list_commands())


def list_messages(file: Path) -> Iterator[str]:
    """The texts of a file that are sentences, without docstrings; … stands for a value."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant()):
                skipped.add(node.value)
            case ast.JoinedStr():
                skipped.update(node.values)
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            case ast.Constant(value=str(text)) if node not in skipped and " " in text.strip():
                yield text


def find_commands(file: str) -> tuple[str, ...]:
    places = [place for place in COMMANDS if file == place or file.startswith(f"{place}/")]
    return COMMANDS[max(places, key=len)] if places else TRAINING


def find_foreign_options(message: str, commands: tuple[str, ...]) -> list[str]:
    """The options in a message that one of the commands lacks."""
    foreign = []
    if given := OPTION.match(message):  # only a command that has this option says so
        commands = tuple(name for name in commands if given[0] in OPTIONS[name])
    for found in OPTION.finditer(message):
        before, option = message[: found.start()], found[0]
        if not before.strip() or option == "--help" or PROGRAM.search(before):
            continue  # the user gave it, or it is another program's
        other = COMMAND.search(before)
        foreign += [f"{name} {option}" for name in ([other[1]] if other else commands) if option not in OPTIONS[name]]
    return foreign


def test_an_option_in_a_message_is_one_of_the_command_that_prints_it():
    wrong = []
    for path in BENCH.rglob("*.py"):
        file = path.relative_to(BENCH).as_posix()
        commands = find_commands(file)
        messages = [text for text in list_messages(path) if "=%" not in text and ".*" not in text]  # of git, a pattern
        wrong += [(file, text, found) for text in messages if (found := find_foreign_options(text, commands))]
    assert wrong == []


def test_the_advice_of_a_warning_is_one_for_the_command_that_raises_it():
    wrong = {
        name: find_foreign_options(f"advice: {advice}", ("run",) if name in RUN_WARNINGS else ("run", "sweep"))
        for name, (_, advice) in RULES.items()
    }
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    ("message", "commands", "foreign"),
    [
        ("choose another with --run", ("baseline save", "trend"), ["trend --run"]),
        ("use a smaller --batch-size, or --isolated", ("run", "gate"), ["gate --isolated"]),
        ("measure again: bench run --launches 4 or more, or with --until 2%", ("trend",), []),
        ("resume it: bench sweep --launches 4", ("run",), ["sweep --launches"]),
        ("--run x: there is none", ("trend",), []),
        ("install it: pip install --force-reinstall x", ("run",), []),
    ],
)
def test_a_foreign_option_is_found(message, commands, foreign):
    assert find_foreign_options(message, commands) == foreign
