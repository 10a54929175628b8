"""The checks of resources: memory, what closing leaves, and CPU at rest."""

from __future__ import annotations

import gc
import threading
import time

import psutil

from bench.conformance import contract_facts
from bench.conformance.checked_backend import CheckedBackend
from bench.conformance.items import LeftOut
from bench.data.order import draw_order
from bench.machine import memory
from bench.records.units import MB

#: Batches of 32 images are 0.4 MB as inputs: a kept one shows after some tens of steps.
BATCH = 32
WARM_STEPS, STEPS = 20, 120
#: Bytes; allocators of frameworks still grow by 2 MB in the second block of steps.
MOST_GROWTH = 8 * MB
CLOSINGS = 8
#: The largest share of a core at rest, and the seconds of one look; the best of three counts.
MOST_CPU, LOOK_SECONDS, LOOKS = 0.05, 0.4, 3
#: Seconds that an input pipeline may take to fill its queue, and a process to end.
SETTLING_SECONDS = 0.5


def check_memory(checked: CheckedBackend) -> str | None:
    """Check that the peak of many steps is that of few.

    Raises:
        LeftOut: the system does not show the peak.
    """
    trainer, inputs = checked.trainer, checked.inputs
    trainer.reset()
    epochs = 1 + (WARM_STEPS + STEPS) * BATCH // len(inputs.images)
    order = draw_order(len(inputs.images), epochs, BATCH, True, 0)
    training = trainer.start(inputs.images, inputs.labels, order)
    peaks = []
    for steps in (WARM_STEPS, STEPS):
        gc.collect()
        if not memory.reset_peak():
            raise LeftOut("the system does not show a process' peak of memory")
        training.advance(steps)
        peaks.append(memory.read_peak_bytes() or 0)
    training.close()
    growth = peaks[1] - peaks[0]
    if growth > MOST_GROWTH:
        return f"the peak of {STEPS} steps is {growth / MB:.0f} MB above that of the {WARM_STEPS} before them"
    return None


def check_closing(checked: CheckedBackend) -> str | None:
    """Check that closing, early and twice, leaves no thread, no process and no memory."""
    trainer, inputs = checked.trainer, checked.inputs
    threads = {thread.ident for thread in threading.enumerate()}
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    contract_facts.describe_closing(trainer, inputs)
    time.sleep(SETTLING_SECONDS)
    if left := [thread.name for thread in threading.enumerate() if thread.ident not in threads]:
        return f"the thread {left[0]!r} is left"
    if left := [child.name() for child in psutil.Process().children(recursive=True) if child.pid not in children]:
        return f"a process {left[0]!r} is left"
    sizes = []
    for number in range(2 * CLOSINGS):
        training = trainer.start(inputs.images, inputs.labels, inputs.order)
        training.advance(1)
        training.close()
        del training
        if number % CLOSINGS == CLOSINGS - 1:
            gc.collect()
            sizes.append(memory.read_resident_bytes() or 0)
    if (growth := sizes[1] - sizes[0]) > MOST_GROWTH:
        return f"{CLOSINGS} trainings that were closed leave {growth / MB:.0f} MB"
    return None


def check_rest(checked: CheckedBackend) -> str | None:
    """Check the CPU time between two calls of `advance`."""
    trainer, inputs = checked.trainer, checked.inputs
    trainer.reset()
    training = trainer.start(inputs.images, inputs.labels, inputs.order)
    training.advance(3)
    time.sleep(SETTLING_SECONDS)
    shares = []
    for _ in range(LOOKS):
        before = _read_cpu_seconds()
        time.sleep(LOOK_SECONDS)
        shares.append((_read_cpu_seconds() - before) / LOOK_SECONDS)
    training.close()
    if min(shares) > MOST_CPU:
        return f"between two calls of `advance` it uses {min(shares):.0%} of a core"
    return None


def _read_cpu_seconds() -> float:
    """The CPU time of this process and its children, in seconds."""
    process = psutil.Process()
    used = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in used)
