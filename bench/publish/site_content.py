"""What a site is about: the runs, the other results and the baselines of a results folder, read once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.analysis import run_as_baseline
from bench.analysis.run_state import RunState, describe_state
from bench.analysis.series import Series, build_series
from bench.errors import UserError
from bench.publish.page_names import make_page_name
from bench.records import baseline as baselines
from bench.records import result_kinds, store
from bench.records.baseline import Baseline
from bench.records.record import Record
from bench.report.exporters import Report
from bench.report.html.run_file import FILE as REPORT_FILE
from bench.report.run_report import read_report
from bench.report.verdict import Verdict, build_verdict


@dataclass(frozen=True)
class PublishedRun:
    """A run of the site.

    Attributes:
        name: the name of its folder.
        digest: of the content of its records.
        report: its records and tables.
        problems: a line for each record that could not be read.
    """

    name: str
    digest: str
    report: Report
    problems: tuple[str, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """All its records."""
        return tuple(self.report.records)

    @property
    def page(self) -> str:
        """The address of its page, from the site's folder."""
        return f"runs/{make_page_name(self.name)}"

    @property
    def measured(self) -> str:
        """When it was measured, in ISO format."""
        return str(self.records[0].about.get("time") or min(record.started for record in self.records))

    @cached_property
    def state(self) -> RunState:
        """How far it has got."""
        return describe_state(self.records)

    @cached_property
    def verdict(self) -> Verdict:
        """Its verdict."""
        description = self.records[0].about.get("run")
        banner = description.get("banner") if isinstance(description, dict) else None
        return build_verdict(self.records, self.report.relative_to, banner)


@dataclass(frozen=True)
class OtherResult:
    """A result of another command, as a sweep or a gate, whose report is a file of its own."""

    name: str
    kind: str
    report: bytes

    @property
    def page(self) -> str:
        """The address of its page, from the site's folder."""
        return f"runs/{make_page_name(self.name)}"


@dataclass(frozen=True)
class SiteContent:
    """Everything that a site shows.

    Attributes:
        runs: newest first.
        others: results of other commands that have a report, newest first.
        baselines: by the name of their file.
        series: of all runs, and of baselines whose run is not here.
        left_out: a line for each result, record or baseline that could not be read.
    """

    runs: tuple[PublishedRun, ...]
    others: tuple[OtherResult, ...]
    baselines: dict[str, Baseline]
    series: tuple[Series, ...]
    left_out: tuple[str, ...]


def read_content(results: Path) -> SiteContent:
    """Read a results folder. What cannot be read is left out with a line.

    Raises:
        UserError: the folder has neither a run nor a baseline.
    """
    runs: list[PublishedRun] = []
    others: list[OtherResult] = []
    left_out: list[str] = []
    for folder in reversed(store.list_runs(results, *result_kinds.KINDS)):
        kind = result_kinds.find_kind(folder)
        try:
            if kind in (None, "run"):
                runs.append(_read_run(folder))
                left_out += [f"run {folder.name}: {problem}" for problem in runs[-1].problems]
            elif kind is not None and (folder / REPORT_FILE).is_file():
                others.append(OtherResult(folder.name, kind, (folder / REPORT_FILE).read_bytes()))
        except (UserError, OSError) as error:
            left_out.append(f"{kind or 'run'} {folder.name} is left out: {error}")
    found = _read_baselines(results, left_out)
    if not runs and not others and not found and not left_out:
        raise UserError(f"there is no run in {results} yet: run the benchmark first, or give another --results")
    points = list(_as_baselines(runs, left_out))
    known = {one.run for one in points}
    points += [one for one in found.values() if one.run not in known]
    return SiteContent(tuple(runs), tuple(others), found, tuple(build_series(points)), tuple(left_out))


def _read_run(folder: Path) -> PublishedRun:
    digest = hashlib.sha256()
    for path in sorted((folder / store.RECORDS).glob("*.json")):
        digest.update(path.name.encode(errors="surrogatepass") + b"\0" + path.read_bytes())
    report, problems = read_report(folder)
    return PublishedRun(folder.name, digest.hexdigest(), report, tuple(problems))


def _read_baselines(results: Path, left_out: list[str]) -> dict[str, Baseline]:
    found = {}
    for path in baselines.list_files(results):
        try:
            found[path.stem] = baselines.read(path)
        except UserError as error:
            left_out.append(str(error))
    return found


def _as_baselines(runs: Iterable[PublishedRun], left_out: list[str]) -> Iterable[Baseline]:
    """Each run in the form of a baseline; one without a finished launch has no figures for a history."""
    for run in runs:
        try:
            yield run_as_baseline.build_from_records(run.name, run.name, run.records, {}, None, fewest=1)
        except UserError as error:
            left_out.append(f"history: {error}")
