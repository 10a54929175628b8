"""The figures of a case that programs read: each with its unit, its direction, its interval and one value a launch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bench.analysis.launches import CaseLaunches
from bench.analysis.run_as_baseline import extract_run_figures
from bench.analysis.statistics import Interval, ratio_interval
from bench.records.record import Record
from bench.report.tables.accuracy_table import compute_accuracy, group_by_seed


@dataclass(frozen=True)
class Measure:
    """What is measured: its unit, and whether a smaller value is better."""

    unit: str
    smaller_is_better: bool
    meaning: str


#: The measures by name. Those that the gate and the trend judge have the names that they have there.
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "pipeline": Measure("s", True, "a training step that includes the framework's own input pipeline"),
        "compute": Measure("s", True, "a training step on a batch that is already on the device"),
        "pipeline-throughput": Measure("images/s", False, "images trained on through the input pipeline"),
        "compute-throughput": Measure("images/s", False, "images trained on that are already on the device"),
        "first-step": Measure("s", True, "the first step: start of the input pipeline, trace and compilation"),
        "fine-tune": Measure("s", True, "the whole fine-tune, from the start of the process to the evaluation's end"),
        "host-memory": Measure("bytes", True, "the highest host memory until the last round"),
        "device-memory": Measure("bytes", True, "the highest memory that the framework allocated on the device"),
        "accuracy": Measure("share", False, "share of the test images that are classified correctly, 0 to 1"),
    }
)


@dataclass(frozen=True)
class CaseFigure:
    """One figure of a case.

    Attributes:
        measure: a name in `MEASURES`.
        value: over the launches that finished: their geometric mean, and the mean over seeds of an accuracy; with its
            95 % interval where there is one.
        by_launch: the value of each launch that has one: the median of its rounds. An accuracy has one value a seed.
    """

    measure: str
    value: Interval
    by_launch: Mapping[int, float]

    @property
    def unit(self) -> str:
        """The unit of all values."""
        return MEASURES[self.measure].unit

    @property
    def smaller_is_better(self) -> bool:
        """Whether a smaller value is better."""
        return MEASURES[self.measure].smaller_is_better


def list_figures(case: CaseLaunches) -> list[CaseFigure]:
    """List the figures of a case, in the order of `MEASURES`; what was not measured is left out."""
    by_measure: dict[str, dict[int, float]] = {}
    for record in case.finished:
        for measure, value in _read_launch(record).items():
            by_measure.setdefault(measure, {})[record.launch] = value
    found = {
        measure: CaseFigure(measure, ratio_interval([math.log(value) for value in values.values()]), values)
        for measure, values in by_measure.items()
    }
    if accuracy := _build_accuracy(case):
        found["accuracy"] = accuracy
    return [found[measure] for measure in MEASURES if measure in found]


def _read_launch(record: Record) -> dict[str, float]:
    """Read the figures of one launch that are above 0."""
    own = {name: statistics.median(values) for name, values in extract_run_figures(record).values.items()}
    rounds = ((kind, getattr(record, kind)) for kind in ("pipeline", "compute"))
    own |= {f"{kind}-throughput": one.images / statistics.median(one.seconds) for kind, one in rounds if one}
    if record.start_up and record.fine_tunes:
        own["fine-tune"] = record.start_up.elapsed_s + statistics.median(one.elapsed_s for one in record.fine_tunes)
    return {name: value for name, value in own.items() if value > 0}


def _build_accuracy(case: CaseLaunches) -> CaseFigure | None:
    value = compute_accuracy(case)
    by_seed = {seed: tune for seed, tune in group_by_seed(case).items() if tune.correct is not None}
    shares = {seed: (tune.correct or 0) / tune.test_images for seed, tune in by_seed.items()}
    return CaseFigure("accuracy", value, shares) if value else None
