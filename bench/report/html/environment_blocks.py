"""The environment of a run in its page: what differs between the cases first, then machine and software."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.analysis.launches import group_by_task
from bench.machine.stored_environment import describe_machine, describe_revision, describe_versions, read_about
from bench.records.record import Record
from bench.records.units import GIB
from bench.report.html.page import Block, Command, Folded, Heading, Text
from bench.report.tables.table import Cell, Column, Table

#: What the names of settings begin with that say how a framework was built.
BUILD = "build: "
#: The longest value that is shown; a framework's build can be thousands of characters.
LONGEST = 400
#: The parts of the environment that are about the machine, by their key.
MACHINE = ("cpu", "memory", "gpus", "system", "python", "variables")


def describe_facts(what: str, time: str, about: Mapping[str, object]) -> str:
    """Describe in one line what a page is about, when and on what it was measured, and with which versions.

    Args:
        what: the run, or another result.
        time: UTC, in ISO format.
        about: the environment.
    """
    parts = (what, f"{time[:16].replace('T', ' ')} UTC", describe_machine(about), describe_versions(about))
    return " · ".join(part for part in parts if part)


def build_closing(about: Mapping[str, object], command: str | None) -> Iterator[Block]:
    """Build the blocks that say how to make a result again: the command, the revision, the versions, the machine."""
    yield Heading("Reproduce", 2)
    if command:
        yield Command(command, "Command")
    yield Text(f"Revision: {describe_revision(about) or 'not recorded'}")
    if versions := describe_versions(about):
        yield Text(f"Versions: {versions}")
    if machine := describe_machine(about):
        yield Text(f"Machine: {machine}")


def build_environment_blocks(records: Sequence[Record]) -> Iterator[Block]:
    """Build the blocks: settings that differ between the cases, those that do not, machine, packages."""
    ordered = [record for task in group_by_task(records) for case in task.cases for record in case.records]
    cases = {f"{r.backend}/{r.variant.name}": r for r in ordered if r.resolved}
    settings = {case: dict(_flatten(_list_settings(record))) for case, record in cases.items()}
    # How a framework was built is long, and seldom the reason of a difference.
    names = sorted({name: 0 for each in settings.values() for name in each}, key=lambda name: name.startswith(BUILD))
    values = {name: [each.get(name, "–") for each in settings.values()] for name in names}
    differing = {name: each for name, each in values.items() if len(set(each)) > 1}
    equal = {name: each[0] for name, each in values.items() if name not in differing}
    if differing:
        yield Table(
            "What differs between the cases",
            (Column("setting", figures=False), *(Column(case, figures=False) for case in settings)),
            tuple((Cell(name), *(Cell(_cut(value)) for value in each)) for name, each in differing.items()),
        )
    elif len(cases) > 1:
        yield Text("No recorded setting differs between the cases.")
    if equal:
        title = "What is the same in all cases" if len(cases) > 1 else "Settings"
        yield Folded(f"{title}: {len(equal)} settings", (_make_table(title, "setting", equal),))
    yield from build_machine_blocks(records[0].about if records else {})


def build_machine_blocks(about: Mapping[str, object]) -> Iterator[Block]:
    """Build the blocks about the machine and its packages; none where nothing is recorded."""
    sizes = {k: f"{v / GIB:,.1f} GiB" if isinstance(v, int) else v for k, v in read_about(about, "memory").items()}
    machine = dict(_flatten({key: sizes if key == "memory" else about[key] for key in MACHINE if key in about}))
    if machine:
        yield _make_table("Machine", "what", machine)
    packages = {name: str(version) for name, version in read_about(about, "packages").items() if version}
    if packages:
        yield _make_table("Packages", "package", packages)


def _list_settings(record: Record) -> dict[str, object]:
    build = {f"{BUILD}{name}": value for name, value in record.framework.items()}
    return {**record.resolved, "variables": record.variables, **build}


def _flatten(content: object, name: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested values, each with its path as a name."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _flatten(value, f"{name}, {key}" if name else str(key))
    elif isinstance(content, (list, tuple)):
        if any(isinstance(each, dict) for each in content):
            for number, each in enumerate(content):
                yield from _flatten(each, f"{name} {number}")
        else:
            yield name, " ".join(map(str, content)) or "none"
    else:
        yield name, "–" if content is None else str(content)


def _make_table(title: str, what: str, values: Mapping[str, str]) -> Table:
    rows = tuple((Cell(name), Cell(_cut(value))) for name, value in values.items())
    return Table(title, (Column(what, figures=False), Column("value", figures=False)), rows)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text):,} characters)"
