"""From seconds to rates: what a framework's kernels reach here, what its steps reach of it, and what bounds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from bench.analysis.statistics import Interval, throughput
from bench.roofline.bound import Bound, Seconds, decide
from bench.roofline.rate_measurement import Measured
from bench.worker.kernels import RATES
from bench.worker.step_work import Step


@dataclass(frozen=True)
class Best:
    """The highest rate of a framework's kernels in a precision, in FLOP/s, and whose it is."""

    flops: float
    kernel: str


@dataclass(frozen=True)
class Roofline:
    """A case beside its own framework's rates; rates are per second, with their intervals over launches.

    Attributes:
        rates: by kind of round, see `bench.worker.kernels.RATES`.
        layers: FLOP/s of each shape's passes alone, by `name pass`.
        steps: training steps, by kind of round.
        best: None where nothing was measured in the variant's precision.
    """

    backend: str
    step: Step
    rates: Mapping[str, Interval]
    layers: Mapping[str, float]
    steps: Mapping[str, Interval]
    best: Best | None
    bound: Bound | None
    seconds: Seconds | None

    @property
    def ridge(self) -> float | None:
        """FLOP per byte below which memory limits, and above which arithmetic does."""
        return self.best.flops / self.rates["memory"].estimate if self.best and "memory" in self.rates else None


def roofline(step: Step, measured: Measured) -> Roofline:
    """What was measured of a case, reckoned with its work."""
    rates = {
        kind: throughput(round(rate.amount(step.task, step.variant)), measured.seconds[kind])
        for kind, rate in RATES.items()
        if measured.seconds.get(kind)
    }
    steps = {kind: throughput(1, s) for kind, s in measured.seconds.items() if kind not in RATES and s}
    layers = _layers(step, measured)
    best = _best(step.variant.precision, rates, layers)
    seconds = _seconds(step, steps, measured, rates, best)
    return Roofline(measured.backend, step, rates, layers, steps, best, decide(seconds) if seconds else None, seconds)


def call_title(name: str) -> str:
    """How a pass of a convolution, `name pass`, is called in tables."""
    layer, what = name.split()
    return layer if what == "forward" else f"{layer}, {what.replace('_', ' ')}"


def _layers(step: Step, measured: Measured) -> dict[str, float]:
    """Geometric means over launches."""
    found = {}
    for layer, what in step.calls:
        name = f"{layer.name} {what}"
        taken = [launch[name] for launch in measured.layers if name in launch]
        if taken:
            found[name] = step.work(layer).flop / math.exp(fmean(map(math.log, taken)))
    return found


def _best(precision: str, rates: Mapping[str, Interval], layers: Mapping[str, float]) -> Best | None:
    candidates = [Best(flops, call_title(name)) for name, flops in layers.items()]
    if gemm := rates.get(f"gemm {precision}"):
        candidates.append(Best(gemm.estimate, "GEMM"))
    return max(candidates, key=lambda best: best.flops, default=None)


def _seconds(
    step: Step,
    steps: Mapping[str, Interval],
    measured: Measured,
    rates: Mapping[str, Interval],
    best: Best | None,
) -> Seconds | None:
    """What the verdict goes by; None where a part was not measured."""
    if "pipeline" not in steps or "memory" not in rates or best is None:
        return None
    memory = rates["memory"].estimate
    arithmetic = traffic = 0.0
    for layer, _ in step.calls:
        work = step.work(layer)
        by_arithmetic, by_memory = work.flop_padded / best.flops, work.bytes_padded / memory
        arithmetic += by_arithmetic if by_arithmetic >= by_memory else 0.0
        traffic += by_memory if by_memory > by_arithmetic else 0.0
    between = step.parts["between convolutions"].bytes / memory if step.layers else 0.0
    pipeline = 1 / steps["pipeline"].estimate
    return Seconds(
        pipeline=pipeline,
        compute=1 / steps["compute"].estimate if "compute" in steps else pipeline,
        loader=1 / steps["loader"].estimate if "loader" in steps else 0.0,
        convolutions=1 / throughput(1, measured.seconds["convolutions"]).estimate if step.layers else 0.0,
        arithmetic=arithmetic,
        traffic=traffic,
        dispatch=len(step.calls) / rates["small operations"].estimate if "small operations" in rates else 0.0,
        between=between,
    )
