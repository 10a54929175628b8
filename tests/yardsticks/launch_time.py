"""How long launches take, with another revision beside it: the first table, `standard` to ± 3 %, and launch pairs.

The two revisions take turns, launch by launch. Whole set with 16 launches and 8 launch pairs: about half an hour.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scipy import stats

from bench.analysis.statistics import Interval, log_ratios
from bench.machine.environment import PROJECT
from tests.yardsticks.extent import Extent
from tests.yardsticks.target import Target, spanned

DRIVER = Path(__file__).with_name("launches_in_clone.py")
REFERENCE = "pytorch"
#: The wanted half-width of every ratio; seconds to the first table; minutes to the half-width; seconds of a pair.
HALF_WIDTH, FIRST_TABLE_S, MINUTES, PAIR_S = 0.03, 150.0, 9.0, 17.0
GATE_PAIRS = 8
#: Launches after which `standard` had its half-widths when its launches took 39 s, on 27 November 2026.
USUAL_LAUNCHES = 22
#: Launches, or pairs, that are started one after the other: see `bench.measure.start_plan`.
STARTED_ALONE = 4


@dataclass
class Driven:
    """A revision that measures on demand, in a process of its own.

    Attributes:
        found: what each launch printed.
    """

    name: str
    process: subprocess.Popen[str]
    found: list[dict[str, Any]] = field(default_factory=list)

    def measure(self) -> None:
        """Measure one launch.

        Raises:
            RuntimeError: the process ended.
        """
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("{"):
                self.found.append(json.loads(line))
                return
        raise RuntimeError(f"{self.name} ended with status {self.process.wait()}")

    @property
    def seconds(self) -> list[float]:
        """The seconds of each launch."""
        return [one["seconds"] for one in self.found]


def targets(extent: Extent) -> Iterator[Target]:
    """The targets of this revision; the other revision's figures are in their notes."""
    folders = {"after": PROJECT}
    if extent.against:
        folders = {"before": _find_tree(extent.against, extent), **folders}
    data_dir = str(extent.data_dir.absolute()) if extent.data_dir else ""
    launches = 1 if extent.quick else max(extent.launches, STARTED_ALONE + 2)
    standard = _take_turns(folders, launches, extent, "standard", data_dir)
    offline = _take_turns(folders, 1, extent, "offline", "")
    for name, driven in (("standard", standard), ("offline", offline)):
        first = {one: Interval(each.seconds[0], None, None) for one, each in driven.items()}
        yield _make_target(f"first table, `{name}`, seconds", first, FIRST_TABLE_S)
    if launches > STARTED_ALONE:
        yield from _reach_half_width(standard)
    pairs = _take_turns(folders, 1 if extent.quick else GATE_PAIRS, extent, "gate", REFERENCE)
    later = {one: spanned(each.seconds[STARTED_ALONE:] or each.seconds) for one, each in pairs.items()}
    yield _make_target("a launch pair of the gate, side by side, seconds", later, PAIR_S)
    alone = {one: spanned(each.seconds[1:STARTED_ALONE] or each.seconds) for one, each in pairs.items()}
    yield _make_target("a launch pair of the gate, started alone, seconds", alone, PAIR_S)


def _reach_half_width(standard: Mapping[str, Driven]) -> Iterator[Target]:
    """The minutes until the ratios are narrow, of `pipeline` alone and of both kinds."""
    for kinds in (("pipeline",), ("pipeline", "compute")):
        minutes = {one: _estimate_minutes(each, kinds) for one, each in standard.items()}
        yield _make_target(f"`standard` to ± {HALF_WIDTH:.0%} of {' and '.join(kinds)}, minutes", minutes, MINUTES)
    launch = {one: spanned(each.seconds[STARTED_ALONE:]) for one, each in standard.items()}
    spreads = ", ".join(f"{one} {_describe_spreads(each)}" for one, each in standard.items())
    yield _make_target(
        "a later launch of `standard`, seconds", launch, 60 * MINUTES / 22, f"spread of ln ratio: {spreads}"
    )


def _make_target(name: str, measured: Mapping[str, Interval], most: float, note: str = "") -> Target:
    own = measured["after"]
    if before := measured.get("before"):
        span = "" if before.low is None else f" ({before.low:.1f} to {before.high:.1f})"
        note = f"before: {before.estimate:.1f}{span}{note and '; '}{note}"
    return Target(name, own, most=most, style=".1f", note=note)


def _take_turns(
    folders: Mapping[str, Path], launches: int, extent: Extent, what: str, *options: str
) -> dict[str, Driven]:
    with ExitStack() as stack:
        driven = {
            name: Driven(name, stack.enter_context(_start(folder, what, *options))) for name, folder in folders.items()
        }
        for number in range(launches):
            order = list(driven.values())
            for each in reversed(order) if number % 2 else order:
                each.measure()
                extent.say(f"{what}, launch {number + 1} of {launches}, {each.name}: {each.seconds[-1]:.1f} s")
    return driven  # each process ends at the end of its input


def _start(folder: Path, what: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", str(DRIVER), what, *options],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _find_tree(against: str, extent: Extent) -> Path:
    """The folder `against`, or a new clone of this repository at that revision."""
    if Path(against).is_dir():
        return Path(against).absolute()
    clone = extent.folder("before")
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", str(PROJECT), str(clone)], check=True)
    subprocess.run(["git", "-C", str(clone), "checkout", "--quiet", "--detach", against], check=True)
    return clone


def _list_ys(driven: Driven, kinds: Sequence[str]) -> list[list[float]]:
    """ln(other's time / reference's time) of each launch, for each backend and kind."""
    found = []
    for kind in kinds:
        launches = [one["image_s"][kind] for one in driven.found]
        for backend in launches[0]:
            if backend != REFERENCE:
                pairs = ([one[backend] for one in launches], [one[REFERENCE] for one in launches])
                found.append(log_ratios(*pairs))
    return found


def _estimate_minutes(driven: Driven, kinds: Sequence[str]) -> Interval:
    """The minutes after which the widest interval is expected to reach the half-width, at the spread of all launches.

    When the interval really gets there is a matter of luck; its spread is known better.
    """
    spread = max(statistics.stdev(ys) for ys in _list_ys(driven, kinds))
    needed = 2
    while stats.t.ppf(0.975, needed - 1) * spread / math.sqrt(needed) > math.log1p(HALF_WIDTH):
        needed += 1
    later = statistics.median(driven.seconds[STARTED_ALONE:])
    first = driven.seconds[: min(needed, STARTED_ALONE)]
    return Interval((sum(first) + max(0, needed - STARTED_ALONE) * later) / 60, None, None)


def _describe_spreads(driven: Driven) -> str:
    return " ".join(f"{100 * statistics.stdev(ys):.1f}" for ys in _list_ys(driven, ("pipeline", "compute"))) + " %"
