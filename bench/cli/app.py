"""The application `bench`: all its commands, and what turns a user's mistake into one line."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.exceptions import (
    CoercionError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from bench.cli.baseline import baseline
from bench.cli.cache import cache
from bench.cli.compare import compare
from bench.cli.completion import completion
from bench.cli.conformance import conformance
from bench.cli.coverage import coverage
from bench.cli.doctor import doctor, join_names
from bench.cli.entry_point import main as main  # the name that scripts of earlier installations start
from bench.cli.explain import explain
from bench.cli.export import export
from bench.cli.fit import fit
from bench.cli.gate import gate
from bench.cli.gate_selftest import gate_selftest
from bench.cli.list import list_
from bench.cli.merge import merge
from bench.cli.option_groups import OPTIONS, refuse_options_beside_resume
from bench.cli.parity import parity
from bench.cli.plot import plot
from bench.cli.profile import profile
from bench.cli.publish import publish
from bench.cli.roofline import roofline
from bench.cli.run import run
from bench.cli.selftest import selftest
from bench.cli.show import show
from bench.cli.sweep import sweep
from bench.cli.system_errors import describe_system_error
from bench.cli.target_options import check_target_options
from bench.cli.trend import trend
from bench.cli.tune import tune
from bench.errors import UserError, make_unknown_error
from bench.records.plain_text import strip_escapes

DISTRIBUTION = "head-to-head"
#: The options of `bench` itself, below all commands on its help page.
GENERAL_OPTIONS = Group("Options", sort_key=5)


def format_version() -> str:
    """Format the line of `bench --version`: the program, its version and its distribution."""
    from importlib import metadata

    return f"bench {metadata.version(DISTRIBUTION)} ({DISTRIBUTION})"


app = App(
    name="bench",
    help="""Which framework should I fine-tune with, on this machine?

    Start with `bench run --suite quick`; `bench COMMAND --help` explains a command.
    """,
    help_format="plaintext",
    version=format_version,
    group_parameters=OPTIONS,
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(
        negative=(),
        # Given again, an option that takes several values gets one more; of any other, the last value counts.
        allow_repeating=True,
        show_default=False,
    ),
)
#: The commands by group, in the order of the help page.
COMMANDS = {
    Group("Compare frameworks", sort_key=1): (run, parity, show, plot, compare, merge, export, sweep, list_),
    Group("Find out what makes training fast", sort_key=2): (tune, explain, roofline, profile, fit),
    Group("Keep training fast", sort_key=3): (gate, baseline, trend, publish, gate_selftest),
    Group("This machine", sort_key=4): (doctor, selftest, conformance, coverage, cache, completion),
}
#: The commands that measure the code of this suite. `bench gate` chooses the clone.
MEASURING = ("run", "parity", "sweep", "tune", "explain", "roofline", "profile", "fit", "selftest", "conformance")
#: What else is checked of the options of a command.
RULES = {"run": [check_target_options, refuse_options_beside_resume], "sweep": [refuse_options_beside_resume]}
for group, commands in COMMANDS.items():
    for position, command in enumerate(commands):
        if isinstance(command, App):
            command.group, command.sort_key, command.version_flags = group, position, ()
            app.command(command)
        else:
            name = command.__name__.rstrip("_").replace("_", "-")
            app.command(command, name=name, group=group, sort_key=position, config=RULES.get(name), version_flags=())
for flag, text in (("--help", "Show this page."), ("--version", "Show the version.")):
    app[flag].group, app[flag].help = GENERAL_OPTIONS, text


def run_command_line(arguments: Sequence[str]) -> int:
    """Run a command; returns its exit status. A mistake of the user is one line on stderr, and exit status 2."""
    _note_other_clone(arguments)
    try:
        status = app(arguments, print_error=False, exit_on_error=False, result_action="return_value")
    except CycloptsError as error:
        return _refuse(describe_error(error))
    except UserError as error:
        return _refuse(str(error))
    except OSError as error:
        if (line := describe_system_error(error)) is None:
            raise
        return _refuse(line)
    return status if isinstance(status, int) else 0


def _note_other_clone(arguments: Sequence[str]) -> None:
    """Print a line if a command measures the code of another clone than the one in which the user is."""
    if not arguments or arguments[0] not in MEASURING or "--help" in arguments:
        return
    from bench.machine.clone import explain_other_clone  # imports what commands that measure nothing do without

    if note := explain_other_clone(Path.cwd().resolve()):
        print(f"bench: {note}", file=sys.stderr)


def _refuse(message: str) -> int:
    # Other programs' messages, as of git and pip, may be coloured.
    print(f"bench: {' '.join(strip_escapes(message).split())}", file=sys.stderr)
    return 2


def describe_error(error: CycloptsError) -> str:
    """Describe what is wrong with the command line and what to do, in one line."""
    path = " ".join(("bench", *(error.command_chain or ())))
    match error:
        case UnknownCommandError(unused_tokens=[name, *_]):
            if name.startswith("-"):
                return f"unknown option {name}: see {path} --help"
            return str(make_unknown_error("command", name, _list_commands(error.app or app)))
        case UnknownOptionError(token=token, argument_collection=known):
            option = token.keyword or token.value
            names = [name for argument in known for name in argument.names]
            others = _list_commands_with(option)
            if others and path not in others:  # which may have it under a name that is not allowed
                have = f"{join_names(others, 'and')} {'has' if len(others) == 1 else 'have'}"
                return f"{path} has no option {option}, which {have}: see {path} --help"
            nearest = difflib.get_close_matches(option, names, n=1) if names else []
            hint = f"did you mean {nearest[0]}? See" if nearest else "see"
            return f"unknown option {option}: {hint} {path} --help"
        case UnusedCliTokensError(unused_tokens=[word, *_]):
            return f"unexpected argument {word!r}: leave it out, or see {path} --help"
        case MissingArgumentError(argument=argument) if argument is not None:
            name = error.keyword or argument.name
            missing = f"{name} needs a value" if name.startswith("-") else f"{path} needs the argument {name}"
            return f"{missing}: {_format_help(argument.parameter.help) or f'see {path} --help'}"
        case CoercionError(argument=argument, token=token) if argument is not None and token is not None:
            choices = argument.get_choices(force=True)
            name = token.keyword or argument.name
            if choices:
                return str(make_unknown_error(f"value of {name}", token.value, choices))
    error.verbose = False
    return str(error)


def _list_commands(of: App) -> Iterable[str]:
    return [name for name in of if not name.startswith("-")]


def _list_commands_with(option: str) -> list[str]:
    """The commands that have an option, of those that stand for themselves."""
    commands = {name: app[name] for name in _list_commands(app) if app[name].default_command}
    return [
        f"bench {name}"
        for name, command in commands.items()
        if option in [known for argument in command.assemble_argument_collection() for known in argument.names]
    ]


def _format_help(text: str | None) -> str:
    """Format a help text as the end of a line: with a small first letter and without a full stop."""
    return f"{text[0].lower()}{text[1:].rstrip('.')}" if text else ""
