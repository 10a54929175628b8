"""Plants: what the self-test hides in a worker, to see whether the figures show it."""

from __future__ import annotations

import time

import numpy as np
from pydantic import BaseModel, ConfigDict

from backends.base import Training

#: A sleep ends late by some 0.1 ms: the last part of a wait is spent looking at the clock.
LOOKED = 0.0005


class Plant(BaseModel):
    """What is planted.

    Attributes:
        wait_s: seconds that every step waits instead of training; None trains.
        slower: share of the time that training took, which it waits in addition.
        memory: bytes that are held while it trains through the input pipeline.
    """

    model_config = ConfigDict(frozen=True)

    wait_s: float | None = None
    slower: float = 0.0
    memory: int = 0


class Planted(Training):
    """Training with something planted in it."""

    def __init__(self, training: Training, plant: Plant) -> None:
        self.training, self.plant = training, plant
        self.ballast = np.ones(plant.memory, np.uint8)

    def advance(self, steps: int) -> float:
        """Train and wait, or wait instead."""
        if self.plant.wait_s is None:
            began = time.perf_counter()
            loss = self.training.advance(steps)
            wait(self.plant.slower * (time.perf_counter() - began))
            return loss
        for _ in range(steps):
            wait(self.plant.wait_s)
        return 0.0

    def close(self) -> None:
        """Close the training, and let the memory go."""
        self.ballast = np.ones(0, np.uint8)
        self.training.close()


def wait(seconds: float) -> None:
    """Let `seconds` pass, to some microseconds."""
    end = time.perf_counter() + seconds
    time.sleep(max(0.0, seconds - LOOKED))
    while time.perf_counter() < end:
        pass
