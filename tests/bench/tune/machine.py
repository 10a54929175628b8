"""A machine whose steps take what the knobs say: for a search without processes."""

from __future__ import annotations

import math

import numpy as np

from backends.task import Variant
from bench.tune.crew_launch import NOT_TRIED, Launched

DEFAULT = Variant(threads=2)
VALUES = {
    "precision": ["bf16"],
    "layout": ["nhwc"],
    "folding": ["conv_bn"],
    "gradients": ["inference_mode"],
    "execution": ["compiled", "torchscript"],
}
#: How many times as fast a step is with each knob alone; what is not here makes no difference.
FACTORS = {"torchscript": 1.3, "compiled": 0.5, "bf16": 1.5, "nhwc": 1.1, "conv_bn": 1.08}
#: Seconds of the default's step.
STEP = 0.03


class Machine:
    """Steps that take what the knobs say, and some noise a launch and a round; starts of `start_s`, and of `dear_s`
    more for what is compiled, twice that the first time.
    """

    def __init__(self, factors=None, noise=0.003, dead=(), together=None, start_s=1.0, dear_s=0.0, seed=0) -> None:
        self.factors, self.noise, self.dead, self.together = factors or FACTORS, noise, dead, together or {}
        self.start_s, self.dear_s = start_s, dear_s
        self.draw = np.random.default_rng(seed)
        self.launches: list[Launched] = []
        self.compiled: set[str] = set()

    @property
    def seconds(self) -> float:
        return sum(launch.wall_s for launch in self.launches)

    def speed(self, name: str) -> float:
        values = set(name.split("+"))
        speed = math.prod(self.factors.get(value, 1.0) for value in values)
        return speed * math.prod(f for pair, f in self.together.items() if set(pair) <= values)

    def launch(self, crew, rounds, reverse_start=False, start_within=math.inf) -> Launched:
        starts, seconds, problems = {}, {}, {}
        for name in (variant.name for variant in crew):
            if sum(starts.values()) > start_within:
                problems[name] = NOT_TRIED
                continue
            starts[name] = self.start(name)
            if set(self.dead) & set(name.split("+")):
                problems[name] = "planted"
            else:
                seconds[name] = self.steps(name, rounds)
        fastest = min(min(steps) for steps in seconds.values())
        in_rounds = sum(0.3 * step / fastest for steps in seconds.values() for step in steps)
        self.launches.append(
            Launched(
                names=tuple(variant.name for variant in crew),
                rounds=rounds,
                seconds=seconds,
                start_s=starts,
                start_up_s=starts,
                problems=problems,
                wall_s=sum(starts.values()) + in_rounds,
            )
        )
        return self.launches[-1]

    def start(self, name: str) -> float:
        if "compiled" not in name:
            return self.start_s
        first = name not in self.compiled
        self.compiled.add(name)
        return self.start_s + self.dear_s * (2 if first else 1)

    def steps(self, name: str, rounds: int) -> tuple[float, ...]:
        noise = self.noise * self.draw.standard_normal() + self.noise * self.draw.standard_normal(rounds)
        return tuple((np.exp(noise) * STEP / self.speed(name)).tolist())
