"""What people and services read of a gate: lines, Markdown for a pull request, JSON and JUnit XML."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from bench.analysis.metrics import METRICS
from bench.analysis.statistics import Interval
from bench.errors import UserError
from bench.gate.decision import CONFIDENCE, Decision, Verdict
from bench.gate.judgement import Judged
from bench.records import store
from bench.records.units import MB

Say = Callable[[str], object]

#: How a verdict begins in a table.
SIGNS = {
    Verdict.SLOWER: "❌ worse",
    Verdict.FASTER: "✅ better",
    Verdict.PASS: "✅ no change that matters",
    Verdict.UNDECIDED: "❔ undecided",
    Verdict.OPEN: "… open",
}


@dataclass(frozen=True)
class Files:
    """Where else to write: a path each, or None."""

    json: Path | None = None
    markdown: Path | None = None
    junit: Path | None = None


@dataclass(frozen=True)
class About:
    """What was compared, and how it was decided.

    Attributes:
        against: what the head was compared with, as people call it.
        told: the same for machines: revisions, packages, the baseline.
        notes: what a reader should know, a line each.
    """

    against: str
    told: Mapping[str, object]
    margins: Mapping[str, float]
    alpha: float
    notes: Sequence[str] = field(default_factory=tuple)


def told(name: str, decision: Decision) -> str:
    """`4.1 % slower (99 % interval 2.3 … 6.0 %)`; the interval has the sign of worse."""
    metric = METRICS[name]
    word = metric.worse if decision.change >= 0 else metric.better
    sign = 1 if decision.change >= 0 else -1
    ends = sorted((sign * decision.low, sign * decision.high))
    low, high = (_percent(end) for end in ends)
    return f"{_percent(abs(decision.change))} % {word} ({100 * CONFIDENCE:.0f} % interval {low} … {high} %)"


def unit(name: str) -> str:
    """Of a metric's figures in tables."""
    return "MB" if name.endswith("memory") else "ms"


def size(name: str, value: Interval) -> str:
    """A metric's figure in its `unit`, with its interval."""
    scale = MB if unit(name) == "MB" else 1e-3
    interval = f" [{value.low / scale:,.2f}–{value.high / scale:,.2f}]" if value.low and value.high else ""
    return f"{value.estimate / scale:,.2f}{interval}"


def lines(judged: Judged, margins: Mapping[str, float]) -> list[str]:
    """The verdict in a line, and one more for each metric that is worse or open."""
    found = [f"{judged.case}: {_headline(judged)}, {_launches(judged)}, {_time(judged.seconds)}"]
    found += [f"  {line}" for line in judged.broken]
    for name, decision in judged.decisions.items():
        if decision.verdict in (Verdict.SLOWER, Verdict.UNDECIDED):
            found.append(f"  {name}: {decision.verdict}: {told(name, decision)}, margin {100 * margins[name]:g} %")
    return found


def so_far(judged: Judged) -> str:
    """A line of progress: the intervals as they close in."""
    parts = [
        f"{name} {100 * d.change:+.1f} % [{_percent(d.low)} … {_percent(d.high)}]"
        for name, d in judged.decisions.items()
        if d.launches > 1
    ]
    what = "pair" if judged.paired else "launch"
    return f"  {what} {judged.launches}: {', '.join(parts) or 'no interval yet'}"


def markdown(about: About, judged: Sequence[Judged]) -> str:
    """A table for a pull request's comment."""
    title = [f"### Training speed against {about.against}", ""]
    columns = [
        "| case | metric | change | verdict | margin | launches |",
        "| --- | --- | --- | --- | ---: | ---: |",
    ]
    rows = [*title, *(columns if judged else [])]
    for case in judged:
        for name, decision in case.decisions.items():
            rows.append(
                f"| {case.case} | {name} | {told(name, decision)} | {SIGNS[decision.verdict]} "
                f"| {100 * about.margins[name]:g} % | {decision.launches} |"
            )
        rows += [f"| {case.case} | | {line} | ❌ worse | | {case.launches} |" for line in case.broken]
    return "\n".join([*rows, "", *(f"- {note}" for note in about.notes)]).rstrip() + "\n"


def as_json(about: About, judged: Sequence[Judged]) -> str:
    """All of it."""
    content = {
        "against": about.against,
        **about.told,
        "alpha": about.alpha,
        "notes": list(about.notes),
        "cases": [
            {
                "case": case.case,
                "verdict": case.verdict.value,
                "broken": list(case.broken),
                "launches": case.launches,
                "paired": case.paired,
                "seconds": round(case.seconds, 1),
                "metrics": {
                    name: {
                        "verdict": decision.verdict.value,
                        "change": decision.change,
                        # One launch has no interval, and JSON no infinity.
                        "interval": [end if math.isfinite(end) else None for end in (decision.low, decision.high)],
                        "confidence": CONFIDENCE,
                        "margin": about.margins[name],
                        "launches": decision.launches,
                    }
                    for name, decision in case.decisions.items()
                },
            }
            for case in judged
        ],
    }
    return json.dumps(content, indent=1) + "\n"


def junit(judged: Sequence[Judged]) -> str:
    """A test case for each metric of each case, as CI services show them."""
    suite = ElementTree.Element("testsuite", name="bench gate", time=f"{sum(case.seconds for case in judged):.1f}")
    for case in judged:
        for name, decision in case.decisions.items():
            test = ElementTree.SubElement(suite, "testcase", classname=case.case, name=name)
            if decision.verdict is Verdict.SLOWER:
                ElementTree.SubElement(test, "failure", message=told(name, decision))
            elif decision.verdict is Verdict.UNDECIDED:
                ElementTree.SubElement(test, "skipped", message=f"undecided: {told(name, decision)}")
        for line in case.broken:
            test = ElementTree.SubElement(suite, "testcase", classname=case.case, name="sameness")
            ElementTree.SubElement(test, "failure", message=line)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def check(files: Files) -> None:
    """See beforehand whether the files can be written: a gate takes minutes.

    Raises:
        UserError: a folder does not exist or cannot be written.
    """
    for path in (files.json, files.markdown, files.junit):
        if path and not os.access(path.absolute().parent, os.W_OK):
            raise UserError(f"cannot write {path}: choose a folder that exists and can be written")


def write(files: Files, about: About, judged: Sequence[Judged]) -> None:
    """Write the files that were asked for, and the job's summary where GitHub runs it.

    Raises:
        UserError: one cannot be written.
    """
    if files.json:
        store.write_text(files.json, as_json(about, judged))
    if files.markdown:
        store.write_text(files.markdown, markdown(about, judged))
    if files.junit:
        store.write_text(files.junit, junit(judged))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(markdown(about, judged))
        except OSError as error:
            raise UserError(f"cannot write $GITHUB_STEP_SUMMARY, {summary}: {error.strerror}") from None


def _headline(judged: Judged) -> str:
    """The figure that made the verdict; for a pass, the first one: the step through the input pipeline."""
    if judged.broken and not any(d.verdict is Verdict.SLOWER for d in judged.decisions.values()):
        return "broken"
    names = list(judged.decisions)
    name, decision = next((name, d) for name, d in judged.decisions.items() if d.verdict is judged.verdict)
    suffix = "" if name == names[0] else f" in {name}"
    said = told(name, decision) + suffix
    return said if judged.verdict is Verdict.SLOWER else f"{judged.verdict}: {said}"


def _launches(judged: Judged) -> str:
    one, many = ("launch pair", "launch pairs") if judged.paired else ("launch", "launches")
    return f"{judged.launches} {one if judged.launches == 1 else many}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}".replace("inf", "∞")


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
