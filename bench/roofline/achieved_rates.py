"""The rates that a framework's kernels and its training steps reach on this machine, and what bounds the steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from bench.analysis.statistics import Interval, throughput
from bench.roofline.bound import Bound, StepSeconds, decide_bound
from bench.roofline.rate_measurement import CaseMeasurement
from bench.worker.kernels import RATES
from bench.worker.step_work import Step


@dataclass(frozen=True)
class HighestRate:
    """The highest rate of a framework's kernels in one precision, in FLOP/s, and the name of its kernel."""

    flops: float
    kernel: str


@dataclass(frozen=True)
class Roofline:
    """A case, compared with the rates of its own framework's kernels. Intervals are over launches.

    Attributes:
        rates: per second, by kind of round, see `bench.worker.kernels.RATES`.
        layers: FLOP/s of single convolutions, by `name pass`; one of each shape.
        steps: training steps per second, by kind of round.
        best: the highest rate; None if nothing was measured in the variant's precision.
        bound, seconds: None if a part was not measured.
    """

    backend: str
    step: Step
    rates: Mapping[str, Interval]
    layers: Mapping[str, float]
    steps: Mapping[str, Interval]
    best: HighestRate | None
    bound: Bound | None
    seconds: StepSeconds | None

    @property
    def ridge(self) -> float | None:
        """FLOP per byte below which memory limits a kernel, and above which arithmetic does."""
        return self.best.flops / self.rates["memory"].estimate if self.best and "memory" in self.rates else None


def compute_roofline(step: Step, measured: CaseMeasurement) -> Roofline:
    """Compute a case's rates from its counted work and its measured seconds."""
    rates = {
        kind: throughput(round(rate.amount(step.task, step.variant)), measured.seconds[kind])
        for kind, rate in RATES.items()
        if measured.seconds.get(kind)
    }
    steps = {
        kind: throughput(1, seconds) for kind, seconds in measured.seconds.items() if kind not in RATES and seconds
    }
    layers = _compute_pass_rates(step, measured)
    best = _find_highest_rate(step.variant.precision, rates, layers)
    seconds = _explain_step(step, steps, measured, rates, best)
    return Roofline(
        measured.backend, step, rates, layers, steps, best, decide_bound(seconds) if seconds else None, seconds
    )


def format_pass(name: str) -> str:
    """The title of a convolution's pass in tables, from `name pass`."""
    layer, direction = name.split()
    return layer if direction == "forward" else f"{layer}, {direction.replace('_', ' ')}"


def _compute_pass_rates(step: Step, measured: CaseMeasurement) -> dict[str, float]:
    """FLOP/s of each measured pass, from the geometric mean of its seconds over launches."""
    rates = {}
    for layer, direction in step.calls:
        name = f"{layer.name} {direction}"
        seconds = [launch[name] for launch in measured.layers if name in launch]
        if seconds:
            rates[name] = step.count_work(layer).flop / math.exp(fmean(map(math.log, seconds)))
    return rates


def _find_highest_rate(
    precision: str, rates: Mapping[str, Interval], layers: Mapping[str, float]
) -> HighestRate | None:
    candidates = [HighestRate(flops, format_pass(name)) for name, flops in layers.items()]
    if gemm := rates.get(f"gemm {precision}"):
        candidates.append(HighestRate(gemm.estimate, "GEMM"))
    return max(candidates, key=lambda rate: rate.flops, default=None)


def _explain_step(
    step: Step,
    steps: Mapping[str, Interval],
    measured: CaseMeasurement,
    rates: Mapping[str, Interval],
    best: HighestRate | None,
) -> StepSeconds | None:
    """The times from which the bound is decided; None if a part was not measured."""
    if "pipeline" not in steps or "memory" not in rates or best is None:
        return None
    memory = rates["memory"].estimate
    arithmetic = traffic = 0.0
    for layer, _ in step.calls:
        work = step.count_work(layer)
        by_arithmetic, by_memory = work.flop_padded / best.flops, work.bytes_padded / memory
        arithmetic += by_arithmetic if by_arithmetic >= by_memory else 0.0
        traffic += by_memory if by_memory > by_arithmetic else 0.0
    between = step.parts["between convolutions"].bytes / memory if step.layers else 0.0
    pipeline = 1 / steps["pipeline"].estimate
    return StepSeconds(
        pipeline=pipeline,
        compute=1 / steps["compute"].estimate if "compute" in steps else pipeline,
        loader=1 / steps["loader"].estimate if "loader" in steps else 0.0,
        convolutions=1 / throughput(1, measured.seconds["convolutions"]).estimate if step.layers else 0.0,
        arithmetic=arithmetic,
        traffic=traffic,
        dispatch=len(step.calls) / rates["small operations"].estimate if "small operations" in rates else 0.0,
        between=between,
    )
