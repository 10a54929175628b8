"""Request: the options of a run, before anything is checked or prepared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.plan.suite import Suite

#: 512 float32 features of CIFAR-10's 60,000 images are 123 MB; those of a ResNet-50 are four times as many.
CACHE_LIMIT = 4 * 2**30


@dataclass(frozen=True)
class Request:
    """The options of `bench run`, and of all commands that plan a run.

    Attributes:
        suite: its name or file, or the suite itself.
        tasks, backends: names; empty means the suite's tasks and all backends.
        overrides: fields of the task, by name.
        variants, knobs: names of variants, and `knob=value`; if both are empty, the suite's, or else `default`.
        images: the user's own images, in place of the tasks' data sets; see `bench.data.images`.
        devices: numbers of devices that train a case together, each a case of its own; empty means the suite's.
        nodes, host: number of machines that train a case together, and the host of the first.
        until: add launches until the half-widths of all ratios are at most this share of them.
        max_time: seconds after which no launch is added.
        seeds: number of fine-tunes, each with its own seed.
        cache_limit: bytes that cached features may take.
        relative_to: the backend, or the case, that ratios are relative to.
    """

    suite: str | Suite = "standard"
    tasks: Sequence[str] = ()
    backends: Sequence[str] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    variants: Sequence[str] = ()
    knobs: Sequence[str] = ()
    data_dir: Path | None = None
    images: Path | None = None
    checkpoint: Path | None = None
    device: str = "cpu"
    threads: int | None = None
    devices: Sequence[int] = ()
    nodes: int = 1
    host: str = ""
    launches: int | None = None
    rounds: int | None = None
    until: float | None = None
    max_time: float | None = None
    seeds: int = 1
    cache_limit: int = CACHE_LIMIT
    isolated: bool = False
    relative_to: str = "pytorch"
    results: Path = Path("results")
