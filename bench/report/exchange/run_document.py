"""The JSON document of a run: what `bench export RUN json` writes, with a schema that later versions only add to.

docs/exporting.md describes every field; a test compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches, group_by_task
from bench.machine.fingerprint import read_fingerprint
from bench.machine.machine_name import compute_machine_key, describe_machine
from bench.machine.stored_environment import read_about
from bench.records.launch_rows import build_row
from bench.records.record import Record
from bench.report.exchange.case_figures import CaseFigure, list_figures
from bench.report.exporters import Report
from bench.report.tables.comparisons import Comparisons
from bench.report.tables.throughput_table import KINDS
from bench.report.verdict import build_verdict

FILE = "run.json"
SCHEMA = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunFacts(_Frozen):
    """Which run it is, and where it was measured."""

    name: str = Field(description="name of the run's folder")
    suite: str = Field(description="suite that the run measured")
    started: str = Field(description="when the first launch began, ISO 8601")
    command: str | None = Field(description="command line of the run, with the last part of paths only")
    revision: str | None = Field(description="git revision of the harness; null outside a checkout")
    modified: bool | None = Field(description="whether tracked files differed from that revision")
    relative_to: str = Field(description="what ratios are relative to: a backend or a case")
    banner: str | None = Field(description="caution about the whole run, as of the offline suite")
    skipped: dict[str, str] = Field(description="backends and cases that were not measured, with the reason")


class MachineFacts(_Frozen):
    """The machine and the software that figures depend on."""

    description: str = Field(description="the machine in a few words")
    key: str = Field(description="eight hex digits; equal for machines of one kind")
    machine: dict[str, Any] = Field(description="CPU, cores, memory, GPUs and the like")
    versions: dict[str, Any] = Field(description="Python, C library, drivers and packages")
    variables: dict[str, Any] = Field(description="environment variables of the workers")


class LaunchValue(_Frozen):
    """A value of one launch."""

    launch: int = Field(description="number of the launch; of an accuracy, the seed")
    value: float = Field(description="median of the launch's rounds, in the figure's unit")


class FigureFacts(_Frozen):
    """One figure of a case."""

    measure: str = Field(description="what is measured, for example `pipeline`")
    unit: str = Field(description="`s`, `images/s`, `bytes` or `share`")
    smaller_is_better: bool = Field(description="whether a smaller value is better")
    estimate: float = Field(description="geometric mean over launches; of an accuracy, the mean over seeds")
    low: float | None = Field(description="lower bound of the 95 % interval; null where too few launches give none")
    high: float | None = Field(description="upper bound of the 95 % interval")
    values: tuple[LaunchValue, ...] = Field(description="the single values")


class RatioFacts(_Frozen):
    """Throughput over that of the reference; above 1 is faster."""

    kind: Literal["pipeline", "compute"] = Field(description="with the input pipeline, or without it")
    to: str = Field(description="the case that it is relative to")
    estimate: float = Field(description="ratio of the throughputs, from launches that both cases have")
    low: float | None = Field(description="lower bound of its 95 % interval; null where too few launches give none")
    high: float | None = Field(description="upper bound of its 95 % interval")
    certain: bool = Field(description="p < 0.05 after Holm's correction for all comparisons of the task")


class FailureFacts(_Frozen):
    """A launch that did not finish."""

    launch: int = Field(description="number of the launch")
    phase: str = Field(description="phase in which it stopped")
    reason: str = Field(description="why, in one line")


class WarningFacts(_Frozen):
    """A reason to trust a figure less."""

    launch: int = Field(description="number of the launch")
    name: str = Field(description="name of the warning, see `bench list warnings`")
    evidence: str = Field(description="what was found, in figures")
    advice: str = Field(description="what to do about it")


class CaseFacts(_Frozen):
    """A case: a task in one backend and variant."""

    case: str = Field(description="id of the case, the same in every run")
    label: str = Field(description="backend and variant, as tables call it")
    backend: str = Field(description="backend")
    variant: dict[str, Any] = Field(description="name of the variant, the knobs that it sets, threads and device")
    launches: int = Field(description="launches that finished")
    proof: str | None = Field(description="`proven`, `reference`, `failed` or `unproven`; null where none was made")
    not_comparable: str | None = Field(description="why there is no ratio; null where there is one")
    figures: tuple[FigureFacts, ...] = Field(description="what was measured")
    ratios: tuple[RatioFacts, ...] = Field(description="throughput over that of the reference")
    failures: tuple[FailureFacts, ...] = Field(description="launches that did not finish")
    warnings: tuple[WarningFacts, ...] = Field(description="warnings of all launches")


class TaskFacts(_Frozen):
    """A task in one division, with its cases."""

    name: str = Field(description="name of the task")
    hash: str = Field(description="twelve hex digits; equal where the same is trained")
    division: str = Field(description="division of its cases: `default`, `matched`, `tuned`, `cached` or `knobs`")
    overridden: tuple[str, ...] = Field(description="fields that options changed")
    fields: dict[str, Any] = Field(description="all fields of the task")
    reference: str | None = Field(description="label of the case that ratios are relative to")
    verdict: tuple[str, ...] = Field(description="what the figures decide, in sentences; the first is the answer")
    cases: tuple[CaseFacts, ...] = Field(description="its cases")


class RunDocument(_Frozen):
    """The whole document."""

    format: Literal["head-to-head run"] = Field("head-to-head run", description="marks the format")
    schema_version: int = Field(SCHEMA, description="1; a later version only adds fields, or has another number")
    run: RunFacts = Field(description="which run it is")
    environment: MachineFacts | None = Field(description="the machine and the software; null where it is not known")
    tasks: tuple[TaskFacts, ...] = Field(description="the tasks, each division of its own")
    launches: tuple[dict[str, Any], ...] = Field(description="the rows of `results.csv`; null for an empty field")


def export(report: Report) -> str:
    """Format the report as the JSON document."""
    return build_document(report).model_dump_json(indent=1) + "\n"


def build_document(report: Report) -> RunDocument:
    """Build the document of a report."""
    first = report.records[0]
    about: Mapping[str, Any] = first.about
    run, git = read_about(about, "run"), read_about(about, "git")
    return RunDocument(
        run=RunFacts(
            name=first.run,
            suite=first.suite,
            started=min(record.started for record in report.records),
            command=run.get("command"),
            revision=git.get("revision"),
            modified=git.get("dirty"),
            relative_to=report.relative_to,
            banner=run.get("banner"),
            skipped={str(case): str(reason) for case, reason in read_about(run, "skipped").items()},
        ),
        environment=_describe_environment(about),
        tasks=tuple(_describe_tasks(report)),
        launches=tuple(_build_row(record) for record in report.records),
    )


def _describe_environment(about: Mapping[str, Any]) -> MachineFacts | None:
    fingerprint = read_fingerprint(about)
    if not fingerprint:
        return None
    machine = fingerprint["machine"]
    return MachineFacts(description=describe_machine(machine), key=compute_machine_key(machine), **fingerprint)


def _describe_tasks(report: Report) -> Iterator[TaskFacts]:
    verdicts = build_verdict(report.records, report.relative_to).tasks
    for task, verdict in zip(group_by_task(report.records), verdicts, strict=True):
        yield _describe_task(task, report.relative_to, verdict.sentences)


def _describe_task(task: TaskLaunches, relative_to: str, verdict: tuple[str, ...]) -> TaskFacts:
    first, reference, comparisons = task.cases[0].first, task.reference(relative_to), Comparisons(task, KINDS)
    return TaskFacts(
        name=task.task.name,
        hash=first.task_hash,
        division=task.division,
        overridden=first.overridden,
        fields=task.task.model_dump(mode="json"),
        reference=reference.label if reference else None,
        verdict=verdict,
        cases=tuple(_describe_case(case, reference, comparisons) for case in task.cases),
    )


def _describe_case(case: CaseLaunches, reference: CaseLaunches | None, comparisons: Comparisons) -> CaseFacts:
    first = case.first
    ratios = [_describe_ratio(case, reference, kind, comparisons) for kind in KINDS] if reference else []
    return CaseFacts(
        case=first.case,
        label=case.label,
        backend=first.backend,
        variant=first.variant.model_dump(mode="json"),
        launches=len(case.finished),
        proof=case.proof.status if case.proof else None,
        not_comparable=case.why_not_comparable(reference),
        figures=tuple(_describe_figure(figure) for figure in list_figures(case)),
        ratios=tuple(ratio for ratio in ratios if ratio),
        failures=tuple(
            FailureFacts(launch=record.launch, phase=record.failure.phase, reason=record.failure.reason)
            for record in case.failed
            if record.failure
        ),
        warnings=tuple(
            WarningFacts(launch=record.launch, **warning.model_dump())
            for record in case.records
            for warning in record.warnings
        ),
    )


def _describe_figure(figure: CaseFigure) -> FigureFacts:
    return FigureFacts(
        measure=figure.measure,
        unit=figure.unit,
        smaller_is_better=figure.smaller_is_better,
        estimate=figure.value.estimate,
        low=figure.value.low,
        high=figure.value.high,
        values=tuple(LaunchValue(launch=launch, value=value) for launch, value in figure.by_launch.items()),
    )


def _describe_ratio(
    case: CaseLaunches, reference: CaseLaunches, kind: Kind, comparisons: Comparisons
) -> RatioFacts | None:
    ratio = None if case is reference or case.why_not_comparable(reference) else case.ratio_to(reference, kind)
    if ratio is None or kind == "loader":
        return None
    certain = comparisons.is_certain(case, reference, kind)
    return RatioFacts(
        kind=kind, to=reference.label, estimate=ratio.estimate, low=ratio.low, high=ratio.high, certain=certain
    )


def _build_row(record: Record) -> dict[str, Any]:
    return {name: None if _is_nan(value) else value for name, value in build_row(record).items()}


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
