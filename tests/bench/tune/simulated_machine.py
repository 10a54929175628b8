"""A simulated machine, whose step times depend on the knobs: for searches without processes."""

from __future__ import annotations

import math

import numpy as np

from backends.task import Variant
from bench.tune.crew_launch import NOT_TRIED, LaunchResult

DEFAULT = Variant(threads=2)
VALUES = {
    "precision": ["bf16"],
    "layout": ["nhwc"],
    "folding": ["conv_bn"],
    "gradients": ["inference_mode"],
    "execution": ["compiled", "torchscript"],
}
#: The speed-up of a step by each value; others make no difference.
SPEEDUPS = {"torchscript": 1.3, "compiled": 0.5, "bf16": 1.5, "nhwc": 1.1, "conv_bn": 1.08}
#: Seconds of a step of the default.
STEP = 0.03


class SimulatedMachine:
    """Launches crews without workers.

    Step times have some noise for each launch and each round. A start takes `start_s`, and `compile_s` more for a
    compiled variant; the first time twice as much more.

    Attributes:
        factors: by value of a knob, the speed-up of a step.
        dead: values whose workers die.
        together: by pair of values, a further speed-up when both are set.
    """

    def __init__(self, factors=None, noise=0.003, dead=(), together=None, start_s=1.0, compile_s=0.0, seed=0) -> None:
        self.factors, self.noise, self.dead, self.together = factors or SPEEDUPS, noise, dead, together or {}
        self.start_s, self.compile_s = start_s, compile_s
        self.draw = np.random.default_rng(seed)
        self.launches: list[LaunchResult] = []
        self.compiled: set[str] = set()

    @property
    def seconds(self) -> float:
        return sum(launch.wall_s for launch in self.launches)

    def speed(self, name: str) -> float:
        values = set(name.split("+"))
        speed = math.prod(self.factors.get(value, 1.0) for value in values)
        return speed * math.prod(f for pair, f in self.together.items() if set(pair) <= values)

    def launch(self, crew, rounds, reverse_start=False, start_within=math.inf) -> LaunchResult:
        start_s, seconds, problems = {}, {}, {}
        for name in (variant.name for variant in crew):
            if sum(start_s.values()) > start_within:
                problems[name] = NOT_TRIED
                continue
            start_s[name] = self.start(name)
            if set(self.dead) & set(name.split("+")):
                problems[name] = "planted"
            else:
                seconds[name] = self.steps(name, rounds)
        fastest = min(min(steps) for steps in seconds.values())
        in_rounds = sum(0.3 * step / fastest for steps in seconds.values() for step in steps)
        self.launches.append(
            LaunchResult(
                names=tuple(variant.name for variant in crew),
                rounds=rounds,
                seconds=seconds,
                start_s=start_s,
                start_up_s=start_s,
                problems=problems,
                wall_s=sum(start_s.values()) + in_rounds,
            )
        )
        return self.launches[-1]

    def start(self, name: str) -> float:
        if "compiled" not in name:
            return self.start_s
        first = name not in self.compiled
        self.compiled.add(name)
        return self.start_s + self.compile_s * (2 if first else 1)

    def steps(self, name: str, rounds: int) -> tuple[float, ...]:
        noise = self.noise * self.draw.standard_normal() + self.noise * self.draw.standard_normal(rounds)
        return tuple((np.exp(noise) * STEP / self.speed(name)).tolist())
