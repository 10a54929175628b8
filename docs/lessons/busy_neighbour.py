"""A busy program beside PyTorch's OpenMP threads costs more than its share of the cores."""

import statistics
import subprocess
import sys
import time

import torch

convolution, images = torch.nn.Conv2d(64, 64, 3, padding=1), torch.randn(4, 64, 16, 16)


def time_step() -> float:
    """Seconds of a step: the median of 20."""
    took = []
    for _ in range(20):
        began = time.perf_counter()
        convolution(images).sum().backward()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


time_step()
alone = time_step()
neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(torch.get_num_threads())]
try:
    beside = time_step()
finally:
    for neighbour in neighbours:
        neighbour.kill()
print(f"{torch.get_num_threads()} threads beside as many busy programs: {beside / alone:.2f} times as long as alone")
