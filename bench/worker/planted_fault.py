"""Planted faults: known delays and memory that the self-test adds to a worker, to check that its figures show them."""

from __future__ import annotations

import time

import numpy as np
from pydantic import BaseModel, ConfigDict

from backends.base import Training

#: The last part of a wait, in which the clock is polled: a sleep ends about 0.1 ms too late.
BUSY_WAIT_SECONDS = 0.0005


class PlantedFault(BaseModel):
    """A fault that is planted in a job.

    Attributes:
        wait_s: seconds that every step waits instead of training; None to train.
        slower: additional wait, as a share of the time that the training took.
        memory: bytes that are held while the case trains through the input pipeline.
    """

    model_config = ConfigDict(frozen=True)

    wait_s: float | None = None
    slower: float = 0.0
    memory: int = 0


class FaultyTraining(Training):
    """Training with a planted fault."""

    def __init__(self, training: Training, plant: PlantedFault) -> None:
        self.training, self.plant = training, plant
        self.ballast = np.ones(plant.memory, np.uint8)

    def advance(self, steps: int) -> float:
        """Train and wait, or only wait."""
        if self.plant.wait_s is None:
            began = time.perf_counter()
            loss = self.training.advance(steps)
            wait(self.plant.slower * (time.perf_counter() - began))
            return loss
        for _ in range(steps):
            wait(self.plant.wait_s)
        return 0.0

    def close(self) -> None:
        """Close the training, and release the memory."""
        self.ballast = np.ones(0, np.uint8)
        self.training.close()


def wait(seconds: float) -> None:
    """Wait for `seconds`, exact to a few microseconds."""
    end = time.perf_counter() + seconds
    time.sleep(max(0.0, seconds - BUSY_WAIT_SECONDS))
    while time.perf_counter() < end:
        pass
