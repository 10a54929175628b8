"""The report of a gate: lines for the terminal, Markdown for a pull request, JSON, and JUnit XML."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from bench.analysis.metrics import METRICS
from bench.analysis.warning_summary import format_warning
from bench.errors import UserError
from bench.gate.decision import CONFIDENCE, Decision, Verdict
from bench.gate.judgement import Judgement
from bench.records import store

PrintLine = Callable[[str], object]

#: A verdict in a Markdown table.
VERDICT_TEXTS = {
    Verdict.SLOWER: "❌ worse",
    Verdict.FASTER: "✅ better",
    Verdict.PASS: "✅ no change that matters",
    Verdict.UNDECIDED: "❔ undecided",
    Verdict.OPEN: "… open",
}


@dataclass(frozen=True)
class ReportFiles:
    """The paths of the files to write; None for a file that is not requested."""

    json: Path | None = None
    markdown: Path | None = None
    junit: Path | None = None


@dataclass(frozen=True)
class Comparison:
    """What was compared, and the settings of the decision.

    Attributes:
        against: what the working tree was compared with, in words.
        details: what was compared, as fields of the JSON file: commits, packages, the baseline.
        margins: by metric.
        alpha: as in `bench.gate.decision.decide`.
        notes: lines for the reader.
    """

    against: str
    details: Mapping[str, object]
    margins: Mapping[str, float]
    alpha: float
    notes: Sequence[str] = field(default_factory=tuple)


def describe_change(name: str, decision: Decision) -> str:
    """As in `4.1 % slower (99 % interval 2.3 … 6.0 %)`; above 0 is in the direction of the word."""
    metric = METRICS[name]
    word = metric.worse if decision.change >= 0 else metric.better
    sign = 1 if decision.change >= 0 else -1
    ends = sorted((sign * decision.low, sign * decision.high))
    low, high = (_format_percent(end) for end in ends)
    return f"{_format_percent(abs(decision.change))} % {word} ({100 * CONFIDENCE:.0f} % interval {low} … {high} %)"


def format_lines(judgement: Judgement, margins: Mapping[str, float]) -> list[str]:
    """The verdict on a case, and a line for each failure, each metric that is worse or undecided, and each warning."""
    found = [describe_verdict(judgement)]
    found += [f"  {line}" for line in judgement.failures]
    for name, decision in judgement.decisions.items():
        if decision.verdict in (Verdict.SLOWER, Verdict.UNDECIDED):
            found.append(
                f"  {name}: {decision.verdict}: {describe_change(name, decision)}, margin {100 * margins[name]:g} %"
            )
    return [*found, *(f"  {format_warning(warning)}" for warning in judgement.warnings)]


def describe_verdict(judgement: Judgement) -> str:
    """The verdict on a case in a line, with the launches and the time that it took."""
    launches, duration = _format_launches(judgement), _format_duration(judgement.seconds)
    return f"{judgement.case}: {_format_headline(judgement)}, {launches}, {duration}"


def format_progress(judgement: Judgement) -> str:
    """A line of progress: the number of launches, and each metric's change so far.

    The interval of two launches tells nothing (see docs/statistics.md): it is left out.
    """
    parts = [
        f"{name} {100 * d.change:+.1f} %"
        + (f" [{_format_percent(d.low)} … {_format_percent(d.high)}]" if d.launches > 2 else "")
        for name, d in judgement.decisions.items()
        if d.launches > 1
    ]
    what = "pair" if judgement.paired else "launch"
    return f"  {what} {judgement.launches}: {', '.join(parts) or 'no interval yet'}"


def format_markdown(comparison: Comparison, judgements: Sequence[Judgement]) -> str:
    """A table in Markdown, for a comment on a pull request."""
    title = [f"### Training speed against {comparison.against}", ""]
    columns = [
        "| case | metric | change | verdict | margin | launches |",
        "| --- | --- | --- | --- | ---: | ---: |",
    ]
    rows = [*title, *(columns if judgements else [])]
    for case in judgements:
        for name, decision in case.decisions.items():
            rows.append(
                f"| {case.case} | {name} | {describe_change(name, decision)} | {VERDICT_TEXTS[decision.verdict]} "
                f"| {100 * comparison.margins[name]:g} % | {decision.launches} |"
            )
        rows += [f"| {case.case} | | {line} | ❌ worse | | {case.launches} |" for line in case.failures]
    warnings = [f"{case.case}: {format_warning(warning)}" for case in judgements for warning in case.warnings]
    return "\n".join([*rows, "", *(f"- {note}" for note in (*warnings, *comparison.notes))]).rstrip() + "\n"


def format_json(comparison: Comparison, judgements: Sequence[Judgement]) -> str:
    """The whole report as JSON."""
    content = {
        "against": comparison.against,
        **comparison.details,
        "alpha": comparison.alpha,
        "notes": list(comparison.notes),
        "cases": [
            {
                "case": case.case,
                "verdict": case.verdict.value,
                "broken": list(case.failures),
                "launches": case.launches,
                "paired": case.paired,
                "seconds": round(case.seconds, 1),
                "warnings": [warning.model_dump(mode="json") for warning in case.warnings],
                "metrics": {
                    name: {
                        "verdict": decision.verdict.value,
                        "change": decision.change,
                        # One launch has no interval, and JSON no infinity.
                        "interval": [end if math.isfinite(end) else None for end in (decision.low, decision.high)],
                        "confidence": CONFIDENCE,
                        "margin": comparison.margins[name],
                        "launches": decision.launches,
                    }
                    for name, decision in case.decisions.items()
                },
            }
            for case in judgements
        ],
    }
    return json.dumps(content, indent=1) + "\n"


def format_junit(judgements: Sequence[Judgement]) -> str:
    """JUnit XML with a test case for each metric of each case, as CI services show them."""
    suite = ElementTree.Element("testsuite", name="bench gate", time=f"{sum(case.seconds for case in judgements):.1f}")
    for case in judgements:
        for name, decision in case.decisions.items():
            test = ElementTree.SubElement(suite, "testcase", classname=case.case, name=name)
            if decision.verdict is Verdict.SLOWER:
                ElementTree.SubElement(test, "failure", message=describe_change(name, decision))
            elif decision.verdict is Verdict.UNDECIDED:
                ElementTree.SubElement(test, "skipped", message=f"undecided: {describe_change(name, decision)}")
        for line in case.failures:
            test = ElementTree.SubElement(suite, "testcase", classname=case.case, name="sameness")
            ElementTree.SubElement(test, "failure", message=line)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def check_writable(files: ReportFiles) -> None:
    """Check before the gate, which takes minutes, that the files and a job's summary can be written.

    Raises:
        UserError: a folder does not exist or is not writable, or the disk is full.
    """
    for path in (files.json, files.markdown, files.junit):
        if path:
            store.check_writable(path)
    if summary := _find_summary():
        try:
            store.check_writable(summary)
            if summary.exists():
                store.append_text(summary, "")
        except UserError as error:
            raise UserError(f"$GITHUB_STEP_SUMMARY: {error}, or unset it") from None


def write_files(files: ReportFiles, comparison: Comparison, judgements: Sequence[Judgement]) -> list[str]:
    """Write the requested files, and in a job on GitHub the job's summary.

    Returns a line for each one that cannot be written. The others are written, and the verdict stands.
    """
    problems = []
    for path, write, text in (
        (files.json, store.write_text, format_json(comparison, judgements)),
        (files.markdown, store.write_text, format_markdown(comparison, judgements)),
        (files.junit, store.write_text, format_junit(judgements)),
        (_find_summary(), store.append_text, format_markdown(comparison, judgements)),
    ):
        try:
            if path:
                write(path, text)
        except UserError as error:
            problems.append(f"warning: {error}: the verdict stands")
    return problems


def _find_summary() -> Path | None:
    """The file of the summary of a job on GitHub; None elsewhere."""
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    return Path(name) if name else None


def _format_headline(judgement: Judgement) -> str:
    """The verdict, with the first metric that has it; for a pass that is the step through the input pipeline."""
    if judgement.failures and not any(d.verdict is Verdict.SLOWER for d in judgement.decisions.values()):
        return "failed"
    names = list(judgement.decisions)
    name, decision = next((name, d) for name, d in judgement.decisions.items() if d.verdict is judgement.verdict)
    suffix = "" if name == names[0] else f" in {name}"
    change = describe_change(name, decision) + suffix
    return change if judgement.verdict is Verdict.SLOWER else f"{judgement.verdict}: {change}"


def _format_launches(judgement: Judgement) -> str:
    one, many = ("launch pair", "launch pairs") if judgement.paired else ("launch", "launches")
    return f"{judgement.launches} {one if judgement.launches == 1 else many}"


def _format_percent(value: float) -> str:
    return f"{100 * value:.1f}".replace("inf", "∞")


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
