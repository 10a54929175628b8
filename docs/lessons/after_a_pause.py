"""The first steps after a pause are slower."""

import statistics
import time

import torch

convolution, images = torch.nn.Conv2d(64, 64, 3, padding=1), torch.randn(4, 64, 16, 16)


def time_steps(number: int) -> list[float]:
    """Milliseconds of each step."""
    took = []
    for _ in range(number):
        began = time.perf_counter()
        convolution(images).sum().backward()
        took.append(1e3 * (time.perf_counter() - began))
    return took


usual = statistics.median(time_steps(100))
first = []
for _ in range(10):
    time.sleep(1)
    first.append(time_steps(3))
for number, steps in enumerate(zip(*first, strict=True), 1):
    print(f"step {number} after a pause of 1 s: {statistics.median(steps) / usual:.2f} times the usual step")
