"""The kernels that a machine's rates are measured by: how large they are, and what a run of one does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backends.kernels import Addition, Convolutions, Gemm, Kernel, Small
from backends.task import Task, Variant
from bench.worker.step_work import SIZES, Step

MIB = 2**20
#: Large enough that a product keeps all cores of a CPU, or a GPU, busy: 17 and 1,100 GFLOP.
GEMM_SIDE = {"cpu": 2048, "cuda": 8192}
#: Bytes of each of two arrays: more than any cache holds.
ARRAY = {"cpu": 256 * MIB, "cuda": 1024 * MIB}
#: Operations in a chain, so that calling the chain costs nothing beside them.
CHAIN = 200


@dataclass(frozen=True)
class Rate:
    """A rate to measure.

    Attributes:
        kernel: for a task and a variant.
        amount: of what a run of it does: floating-point operations, bytes, or operations.
    """

    kernel: Callable[[Task, Variant], Kernel]
    amount: Callable[[Task, Variant], float]


def _kind(variant: Variant) -> str:
    return variant.device.partition(":")[0]


def _gemm(precision: str) -> Rate:
    return Rate(
        lambda task, variant: Gemm(GEMM_SIDE[_kind(variant)], precision),
        lambda task, variant: 2 * GEMM_SIDE[_kind(variant)] ** 3,
    )


#: Parts of a step that its convolutions do.
CONVOLUTIONS = ("convolutions", "weights' gradients", "maps' gradients")


def _run(task: Task, variant: Variant) -> Kernel:
    step = Step(task, variant)
    return Convolutions(tuple((step.executed(layer), what) for layer, what in step.calls), task.batch_size)


def _convolutions(task: Task, variant: Variant) -> float:
    return sum(work.flop for name, work in Step(task, variant).parts.items() if name in CONVOLUTIONS)


#: By the kind of the rounds that measure it, in their order.
RATES: Mapping[str, Rate] = {
    **{f"gemm {precision}": _gemm(precision) for precision in SIZES},
    "memory": Rate(
        lambda task, variant: Addition(ARRAY[_kind(variant)]),
        lambda task, variant: 3 * ARRAY[_kind(variant)],
    ),
    "small operations": Rate(lambda task, variant: Small(CHAIN), lambda task, variant: CHAIN),
    "convolutions": Rate(
        _run,
        _convolutions,
    ),
}
#: Told apart from the rounds: each pass of each convolution alone.
LAYERS = "layers"
