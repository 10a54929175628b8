"""A page for each command, from the data of its own help page."""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Iterator
from typing import Any

from cyclopts import App
from cyclopts.help import HelpEntry, HelpPanel
from rich.console import Console, ConsoleOptions
from rich.text import Text

from bench.cli.app import app

FOLDER = "commands"
#: An option in a sentence.
OPTION = re.compile(r"(?<![\w`-])--[a-z][a-z0-9-]*(?![\w`])")


class MarkdownHelp:
    """The formatter that cyclopts calls for each part of a help page; it collects them as Markdown."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Collect the line that shows how the command is called."""
        self.parts.append(f"```text\n{read_text(usage).removeprefix('Usage: ')}\n```")

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """Leave the description out: it is taken from the command, with its paragraphs."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Collect a group of options, arguments or commands."""
        if not panel.entries:
            return
        kind = {"Commands": "command", "Arguments": "argument"}.get(read_text(panel.title), "option")
        rows = [f"| {format_name(entry)} | {format_meaning(entry)} |" for entry in panel.entries]
        table = "\n".join([f"| {kind} | meaning |", "| --- | --- |", *rows])
        self.parts.append(f"## {read_text(panel.title)}\n\n{table}")


def read_text(renderable: Any) -> str:
    """The plain text of something that rich prints."""
    if isinstance(renderable, str | Text):
        return str(renderable).strip()
    console = Console(file=io.StringIO(), width=10_000, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get().strip()


def format_name(entry: HelpEntry) -> str:
    """The names of an option with the word for its value, or the word for an argument."""
    names = ", ".join((*entry.names, *entry.shorts)) or entry.positional_label or ""
    return f"`{names} {entry.metavar}`" if entry.names and entry.metavar else f"`{names}`"


def format_meaning(entry: HelpEntry) -> str:
    """The help text of an entry, its choices and its default."""
    text = mark_options(read_text(entry.description)).replace("|", "\\|")
    if entry.choices:
        text += f" One of {', '.join(f'`{choice}`' for choice in entry.choices)}."
    return f"{text} Default: `{read_text(entry.default)}`." if entry.default is not None else text


def list_commands(of: App = app, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """All commands with their words, for example `("baseline", "save")`, in the order of the help page."""
    names = [name for name in of if not name.startswith("-") and of[name].show]
    for name in sorted(names, key=lambda name: (group_of(of[name]), of[name].sort_key or 0)):
        yield (*above, name), of[name]
        yield from list_commands(of[name], (*above, name))


def group_of(command: App) -> int:
    """The position of a command's group on the help page."""
    groups = command.group if isinstance(command.group, tuple) else (command.group,)
    return next((int(group.sort_key) for group in groups if getattr(group, "sort_key", None)), 0)


def describe(command: App) -> str:
    """The command's own description: its docstring, or its help."""
    function = command.default_command
    return mark_options(inspect.cleandoc((function.__doc__ if function else None) or command.help))


def mark_options(text: str) -> str:
    """The text with its options as code."""
    return OPTION.sub(r"`\g<0>`", text)


def make_page(words: tuple[str, ...], command: App) -> str:
    """The page of a command."""
    formatter = MarkdownHelp()
    before, app.help_formatter = app.help_formatter, formatter
    try:
        app.help_print(list(words), console=Console(file=io.StringIO()))
    finally:
        app.help_formatter = before
    return "\n\n".join([f"# bench {' '.join(words)}", describe(command), *formatter.parts]) + "\n"


def make_pages() -> dict[str, str]:
    """The pages by file name."""
    return {f"{FOLDER}/{'-'.join(words)}.md": make_page(words, command) for words, command in list_commands()}
