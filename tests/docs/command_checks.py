"""Checks of a command without running it: its options and their values, sessions of nox, extras, files."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Callable, Sequence

from cyclopts import App, CycloptsError

import backends
from backends.backbones import BACKBONES
from backends.exported.exported_backbone import is_exported
from backends.knob_table import KNOBS
from bench.cli import completers
from bench.cli.app import app, describe_error
from bench.errors import UserError
from bench.plan import suite
from bench.plan.task_table import TASKS
from tests.bench.cli.test_advice import list_options
from tests.docs.shell_commands import PLACEHOLDER, PROJECT, split_parts

#: The backend and the task of the package that a page builds.
OF_THE_EXAMPLE = {"--backend": "numpy-head", "--task": "shapes-resnet10"}
#: What an option's value has to be one of.
VALUES: dict[str, Callable[[], Sequence[str]]] = {
    "--backend": lambda: tuple(backends.REGISTRY),
    "--backbone": lambda: tuple(BACKBONES),
    "--suite": suite.list_names,
    "--task": lambda: tuple(TASKS),
    "--variant": lambda: completers.VARIANTS,
}
EXTRAS = tuple(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
SESSIONS = tuple(re.findall(r"^@nox\.session.*\ndef (\w+)", (PROJECT / "noxfile.py").read_text(encoding="utf-8"), re.M))
#: The command that a session gives its arguments to.
COMMAND_OF_SESSION = {"bench": "run", "regress": "gate", "selftest": "selftest"}
#: Programs of the system, whose options are not checked.
OF_THE_SYSTEM = ("cat", "cd", "cp", "echo", "export", "git", "head", "ls", "mkdir", "sed", "nohup", "pytest-benchmark")


def find_problem(words: Sequence[str]) -> str | None:
    """What is wrong with the words of a program's call; None if nothing is."""
    while words and re.match(r"[A-Z_][A-Z0-9_]*=", words[0]):  # a variable of this call alone
        words = words[1:]
    match list(words):
        case [] | [".", ".venv/bin/activate"]:
            return None
        case ["bench" | "head-to-head", *arguments]:
            return find_problem_of_bench(arguments)
        case ["nox", *arguments]:
            return find_problem_of_nox(arguments)
        case ["python" | ".venv/bin/python", "-m", "bench" | "nox" as module, *arguments]:
            return find_problem([module, *arguments])
        case ["python" | ".venv/bin/python", "-m", "pip", "install", *arguments]:
            return find_problem_of_pip(arguments)
        case ["python" | ".venv/bin/python", "-m", "pytest", *arguments]:
            return find_missing_file(arguments)
        case ["python" | ".venv/bin/python", "-m", "pip", "download" | "uninstall", *arguments]:
            return find_problem_of_pip(arguments)
        case ["python" | ".venv/bin/python", "-m", "http.server", *_]:
            return None
        case ["srun", "bash", "-c", text]:  # its variables are numbers, and the name of a host
            parts = split_parts(re.sub(r"\$\w+", "2", text))
            return next((found for part in parts if (found := find_problem(part))), None)
        case ["python" | ".venv/bin/python", "-m", module, *_] if module.startswith("tests."):
            return find_missing_file([f"{module.replace('.', '/')}.py"])
        case ["python" | ".venv/bin/python", file, *_] if file.endswith(".py"):
            return find_missing_file([file])
        case [program, *_] if program in OF_THE_SYSTEM:
            return None
    return f"there is no check for {words[0]}: add one to {__name__}"


def find_problem_of_bench(arguments: Sequence[str]) -> str | None:
    """What the command line would refuse."""
    if any(flag in arguments for flag in ("--help", "--version")):
        return None if arguments[0].startswith("-") or find_command(arguments)[0] else f"no command {arguments[0]}"
    try:
        app.parse_args(list(arguments), print_error=False, exit_on_error=False)
    except CycloptsError as error:
        return describe_error(error)
    except UserError as error:
        return str(error)
    return find_unknown_value(arguments)


def names_a_network(backbone: str) -> bool:
    """Whether a backbone is one of timm, or a file, and not one of the table."""
    return is_exported(backbone) or backbone.endswith(".pt2")


def find_unknown_value(arguments: Sequence[str]) -> str | None:
    """An option's value that is in none of the project's tables."""
    spread = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for option, value in itertools.pairwise(spread):
        if value == OF_THE_EXAMPLE.get(option) or (option == "--backbone" and names_a_network(value)):
            continue
        if option in VALUES and not value.endswith(".toml") and value not in VALUES[option]():
            return f"unknown value {value} of {option}: one of {', '.join(VALUES[option]())}"
        if option == "--knob" and value.partition("=")[0] not in KNOBS:
            return f"unknown knob {value}"
    return None


def find_problem_of_nox(arguments: Sequence[str]) -> str | None:
    """A session that does not exist, or arguments that its command would refuse."""
    match list(arguments):
        case ["-s", session, *rest] if session in SESSIONS:
            given = rest[1:] if rest[:1] == ["--"] else rest
            if session in COMMAND_OF_SESSION:
                return find_problem_of_bench([COMMAND_OF_SESSION[session], *given])
            return find_unknown_target(given) if session == "targets" else None
    return f"nox {' '.join(arguments)}: the sessions are {', '.join(SESSIONS)}"


def find_unknown_target(arguments: Sequence[str]) -> str | None:
    """What the session `targets` would refuse."""
    from tests.yardsticks.__main__ import make_parser

    try:
        make_parser().parse_args(list(arguments))
    except SystemExit:
        return f"nox -s targets refuses {' '.join(arguments)}"
    return None


def find_problem_of_pip(arguments: Sequence[str]) -> str | None:
    """An extra of this project that does not exist."""
    extras = [extra for names in re.findall(r"\[([\w,-]+)\]", " ".join(arguments)) for extra in names.split(",")]
    unknown = [extra for extra in extras if extra not in EXTRAS]
    return f"unknown extras {', '.join(unknown)}" if unknown else None


def find_missing_file(arguments: Sequence[str]) -> str | None:
    """A Python file that does not exist."""
    files = [word.partition("::")[0] for word in arguments if ".py" in word]
    missing = [file for file in files if not (PROJECT / file).is_file()]
    return f"{', '.join(missing)} does not exist" if missing else None


def find_command(arguments: Sequence[str]) -> tuple[App | None, list[str]]:
    """The command that the words begin with, and the other words."""
    found: App = app
    rest = list(arguments)
    while rest and not rest[0].startswith("-"):
        name = rest[0].split("|")[0]
        if name not in list(found):
            break
        found = found[name]
        rest.pop(0)
    return (None if found is app else found), rest


def find_problem_in_sentence(text: str) -> str | None:
    """What is wrong with a command in a sentence, in which some words stand for others."""
    program, *arguments = text.replace("[", " ").replace("]", " ").split()
    if program == "python":
        program, *arguments = arguments[1:]
    if program == "nox":
        known = len(arguments) < 2 or arguments[1] in SESSIONS
        return None if known else f"no session {arguments[1]}"
    if arguments[0].startswith("-") or PLACEHOLDER.fullmatch(arguments[0]):
        return None
    command, rest = find_command(arguments)
    if command is None:
        return f"no command {arguments[0]}"
    subcommands = [command[name] for name in command if not name.startswith("-")]
    known = {name for one in subcommands or [command] if one.default_command for name in list_options(one)}
    options = [word.split("=")[0] for word in rest if re.match("--[a-z]", word)]
    unknown = [option for option in options if option not in known and option not in ("--help", "--version")]
    return f"bench {arguments[0]} has no {', '.join(unknown)}" if unknown else None
