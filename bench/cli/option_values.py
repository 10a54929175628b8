"""The values of options and arguments: how they are read, completed and refused."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from bench.cli import completers
from bench.errors import UserError
from bench.plan import amounts

Converter = Callable[[Any, tuple[Token, ...]], Any]
#: The largest number of the command line, which arrays, files and sums of seconds can have, too.
LARGEST = 2**63 - 1


def make_converter(parse: Callable[[str], Any]) -> Converter:
    """Make a converter of one value; its error message begins with the option's name."""

    def convert(_: Any, tokens: tuple[Token, ...]) -> Any:
        try:
            return parse(tokens[-1].value)
        except UserError as error:
            # An argument has no name; its message stands alone.
            name = tokens[-1].keyword
            raise UserError(f"{name}: {error}" if name else str(error)) from None

    return convert


def make_number_parameter(least: float | None = None, kind: type[int] | type[float] = int) -> Parameter:
    """Make the parameter of a number: whole unless `kind` is float, not below `least`, and whole up to `LARGEST`."""
    description = "a whole number" if kind is int else "a number"
    description += "" if least is None else f", {least:g} or more"

    def convert(_: Any, tokens: tuple[Token, ...]) -> float:
        return _read_number(tokens[-1], least, kind, description)

    return Parameter(converter=convert)


def _read_number(token: Token, least: float | None, kind: type[int] | type[float], description: str) -> float:
    option, text = token.keyword, token.value or "''"
    try:
        value = kind(text)
    except ValueError:
        raise UserError(f"{option} {text}: give {description}") from None
    if least is not None and not value >= least:
        raise UserError(f"{option} {text}: give {description}")
    if kind is int and value > LARGEST:
        raise UserError(f"{option} {text}: give {description}, up to {LARGEST}")
    return value


def read_names(_: Any, tokens: tuple[Token, ...]) -> tuple[str, ...]:
    """Read the values of an option that may be repeated. A value given again counts once, and a line says so."""
    counts = Counter((token.keyword, token.value) for token in tokens)
    for (option, value), count in counts.items():
        if count > 1:
            print(f"bench: {option} {value} is given {count} times and counts once", file=sys.stderr)
    return tuple(dict.fromkeys(token.value for token in tokens))


#: The values of an option that may be repeated.
Names = Annotated[tuple[str, ...], Parameter(converter=read_names, n_tokens=1)]


def read_numbers(_: Any, tokens: tuple[Token, ...]) -> tuple[int, ...]:
    """Read the whole numbers, 1 or more, of an option that may be repeated; each counts once."""
    return tuple(dict.fromkeys(int(_read_number(token, 1, int, "a whole number, 1 or more")) for token in tokens))


#: The numbers of an option that may be repeated.
Numbers = Annotated[tuple[int, ...], Parameter(converter=read_numbers, n_tokens=1)]


#: One number for each channel of an image.
Channels = Annotated[
    tuple[float, float, float],
    Parameter(converter=make_converter(amounts.parse_channels), n_tokens=1, allow_leading_hyphen=True, metavar="R,G,B"),
]


def parse_path(text: str) -> Path:
    """Parse a path. `~` is the user's home: shells replace it in `--data-dir ~/x`, and not in `--data-dir=~/x`.

    Raises:
        UserError: it is empty, or names a user that does not exist.
    """
    if not text:
        raise UserError("the path is empty: give one, or leave it out")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"there is no user {text.partition('/')[0]}: give another path") from None


def parse_name_or_file(text: str) -> str:
    """Parse the name of something, or a file; see `parse_path` for `~`."""
    return str(parse_path(text)) if text.startswith("~") else text


#: A file or a folder of the user.
UserPath = Annotated[Path, Parameter(converter=make_converter(parse_path))]
Share = Annotated[
    float, Parameter(converter=make_converter(amounts.parse_share), allow_leading_hyphen=True, metavar="PERCENT")
]
Seconds = Annotated[
    float, Parameter(converter=make_converter(amounts.parse_seconds), allow_leading_hyphen=True, metavar="TIME")
]
Suite = Annotated[
    str,
    Parameter(
        converter=make_converter(parse_name_or_file),
        metavar="NAME",
        completer=completers.list_suites,
        show_default=True,
        help="Suite (see `bench list suites`) or TOML file that sets the tasks and how thoroughly to measure.",
    ),
]
#: A stored result; the newest one without it.
StoredResult = Annotated[
    str | None,
    Parameter(
        completer=completers.list_runs,
        help="Name or folder of a run, or of what another command stored; the newest by default.",
    ),
]
