"""The tables, the rows and the page of a comparison of tests."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterator
from itertools import chain

from bench.analysis.statistics import Interval
from bench.analysis.warning_summary import format_warning, sum_up_warnings
from bench.analysis.warnings import find_machine_warnings
from bench.head_to_head.stored_targets import StoredTargets
from bench.head_to_head.target_standings import (
    Standings,
    describe_sameness,
    find_median,
    find_standings,
    list_sentences,
)
from bench.records.record import MeasurementWarning
from bench.records.units import MB
from bench.report.figures.figure import ForestPlot, ForestRow
from bench.report.html.environment_blocks import describe_facts
from bench.report.html.page import Notice, Page, Section, Text
from bench.report.html.result_page import build_closing, build_environment_section, fit_page, format_command
from bench.report.tables.comparisons import SIGNIFICANT
from bench.report.tables.number_format import format_interval, format_ratio
from bench.report.tables.table import Cell, Column, Table
from bench.worker.target_plugin import KIND

#: The columns of the file with a row for each test and launch.
COLUMNS = ("launch", "target", "rounds", "seconds_per_call", "first_call_s", "peak_host_mb", "nvml_device_mb")
#: Units of a time per call, the largest first, with their seconds.
TIME_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
#: Significant digits of a time.
DIGITS = 4


def list_warnings(result: StoredTargets) -> tuple[MeasurementWarning, ...]:
    """The reasons to trust the figures less, summed up over the launches."""
    by_launch = [
        {"all": tuple(chain.from_iterable(map(find_machine_warnings, launch.conditions)))} for launch in result.launches
    ]
    return sum_up_warnings(by_launch)


def build_tables(result: StoredTargets, full: bool) -> list[Table]:
    """Build the table of all tests; with `full`, that of every launch, too. There are none if nothing was measured."""
    if not result.launches:
        return []
    return [_build_summary(result, find_standings(result)), *([_build_launches(result)] if full else [])]


def format_csv(result: StoredTargets) -> str:
    """Format a row for each test and launch, with a header line; a field is empty where nothing was measured."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, launch in enumerate(result.launches, start=1):
        for name, figures in zip(result.names, launch.figures, strict=True):
            rounds = figures.values[KIND]
            first, host, device = (
                figures.values.get(metric, (None,))[0] for metric in ("first-step", "host-memory", "device-memory")
            )
            memory = ("" if size is None else size / MB for size in (host, device))
            writer.writerow(
                (number, name, len(rounds), statistics.median(rounds), "" if first is None else first, *memory)
            )
    return text.getvalue()


def build_page(result: StoredTargets) -> Page:
    """Build the page of a result."""
    return fit_page(lambda full: _build_page(result, full))


def format_time(interval: Interval) -> str:
    """Format a time with its interval, in a unit in which it is at least 1, as in `1.234 [1.230–1.238] ms`."""
    unit, size = next((one for one in TIME_UNITS if interval.estimate >= one[1]), TIME_UNITS[-1])
    decimals = max(0, DIGITS - len(f"{interval.estimate / size:.0f}"))
    return f"{format_interval(interval, lambda value: f'{value / size:,.{decimals}f}')} {unit}"


def _build_summary(result: StoredTargets, standings: Standings) -> Table:
    numbers = range(len(result.labels))
    first, host, device = (
        [find_median(result, number, metric) for number in numbers]
        for metric in ("first-step", "host-memory", "device-memory")
    )
    rounds = [len(figures.values[KIND]) for figures in result.launches[0].figures]
    columns = {
        "time per call": [format_time(one) for one in standings.seconds],
        f"ratio to {result.labels[0]}": [
            format_ratio(ratio, certain) if number else "1"
            for number, ratio, certain in zip(numbers, standings.ratios, standings.certain, strict=True)
        ],
        "first call": ["–" if one is None else format_time(Interval(one, None, None)) for one in first],
        "host MB": ["–" if one is None else f"{one / MB:,.0f}" for one in host],
        "device MB": ["–" if one is None else f"{one / MB:,.0f}" for one in device],
        "launches × rounds": [f"{len(result.launches)} × {count}" for count in rounds],
    }
    shown = {name: texts for name, texts in columns.items() if set(texts) != {"–"}}
    return Table(
        title="Time per call of your tests",
        columns=(Column("test", figures=False), *map(Column, shown)),
        rows=tuple(
            (
                Cell(result.labels[number]),
                *(
                    Cell(texts[number], bold=name == "time per call" and number == standings.winner)
                    for name, texts in shown.items()
                ),
            )
            for number in numbers
        ),
        notes=(describe_sameness(result), *_list_notes(result, standings), *map(format_warning, list_warnings(result))),
    )


def _list_notes(result: StoredTargets, standings: Standings) -> Iterator[str]:
    if result.isolated:
        yield "one test was measured at a time: what else the machine did meanwhile affects the ratios"
    if standings.ratios[1].low is None:
        yield "fewer than three launches give no interval and no verdict; launches of one test differ by some per cent"
        return
    yield (
        "[low–high]: 95 % interval; a ratio above 1 means faster; no difference found (± x %): the interval contains "
        "1, and neither is more than x % faster; bold: certainly faster than every other"
    )
    if len(standings.pairs) > 1:
        yield (
            f"certain: p < {SIGNIFICANT:g} after Holm's correction for the {len(standings.pairs)} comparisons of every "
            "pair of tests"
        )


def _build_launches(result: StoredTargets) -> Table:
    """The median round of each test in each launch."""
    return Table(
        title="Every launch: time per call, the median of its rounds",
        columns=(Column("launch"), *map(Column, result.labels)),
        rows=tuple(
            (
                Cell(str(number)),
                *(
                    Cell(format_time(Interval(statistics.median(figures.values[KIND]), None, None)))
                    for figures in launch.figures
                ),
            )
            for number, launch in enumerate(result.launches, start=1)
        ),
    )


def _build_page(result: StoredTargets, full: bool) -> Page:
    standings = find_standings(result)
    notices = (Notice("all tests", one.name, f"{one.evidence}.", one.advice) for one in list_warnings(result))
    tables = build_tables(result, full)
    return Page(
        title="Your tests compared",
        facts=describe_facts(f"Comparison of {len(result.labels)} tests", result.started, result.about),
        verdict=tuple(list_sentences(result, standings)),
        opening=(*([_build_plot(result, standings)] if standings.pairs else []), *notices),
        sections=(
            Section("All figures", (*tables, *(Text(f"{_list_names(result)}.", "quiet"),))),
            build_environment_section(result.about),
        ),
        command=format_command(result.about),
        closing=tuple(build_closing(result.about)),
    )


def _build_plot(result: StoredTargets, standings: Standings) -> ForestPlot:
    first = result.labels[0]
    rows = [
        ForestRow(label, ratio, format_ratio(ratio, certain) if number else "1, the reference", certain=certain)
        for number, (label, ratio, certain) in enumerate(
            zip(result.labels, standings.ratios, standings.certain, strict=True)
        )
    ]
    return ForestPlot(
        title=f"Speed, × {first}",
        how_to_read=(
            f"The dot is how many times as fast as {first} a test is, the line its 95 % interval; right of 1 is "
            f"faster. A filled dot is a difference that is certain. Note: {describe_sameness(result)}."
        ),
        x_title=f"speed as a multiple of {first}",
        rows=tuple(rows),
    )


def _list_names(result: StoredTargets) -> str:
    return "; ".join(f"{label} is {name}" for label, name in zip(result.labels, result.names, strict=True))
