"""The kernels that measure a machine's rates: their sizes, and the amount of work of one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backends.kernels import Addition, Convolutions, Gemm, Kernel, SmallOperations
from backends.task import Task, Variant
from bench.worker.step_work import NUMBER_BYTES, Step

MIB = 2**20
#: Rows and columns of a matrix: large enough to keep all cores of a CPU, or a GPU, busy: 17 and 1,100 GFLOP.
GEMM_SIDE = {"cpu": 2048, "cuda": 8192}
#: Bytes of each of two arrays: larger than any cache.
ARRAY = {"cpu": 256 * MIB, "cuda": 1024 * MIB}
#: Operations in a chain: so many that the call of the chain takes no time compared with them.
CHAIN = 200


@dataclass(frozen=True)
class RateKernel:
    """A kernel that measures a rate.

    Attributes:
        kernel: makes the kernel for a task and a variant.
        amount: the work of one run: floating-point operations, bytes, or operations.
    """

    kernel: Callable[[Task, Variant], Kernel]
    amount: Callable[[Task, Variant], float]


def _get_device_kind(variant: Variant) -> str:
    return variant.device.partition(":")[0]


def _make_gemm_rate(precision: str) -> RateKernel:
    return RateKernel(
        lambda task, variant: Gemm(GEMM_SIDE[_get_device_kind(variant)], precision),
        lambda task, variant: 2 * GEMM_SIDE[_get_device_kind(variant)] ** 3,
    )


#: The parts of a step that are convolutions.
CONVOLUTIONS = ("convolutions", "weights' gradients", "maps' gradients")


def _make_convolutions_kernel(task: Task, variant: Variant) -> Kernel:
    step = Step(task, variant)
    return Convolutions(tuple((step.get_executed_layer(layer), what) for layer, what in step.calls), task.batch_size)


def _count_convolution_flop(task: Task, variant: Variant) -> float:
    return sum(work.flop for name, work in Step(task, variant).parts.items() if name in CONVOLUTIONS)


#: The kernels by kind of round, in the order of measurement.
RATES: Mapping[str, RateKernel] = {
    **{f"gemm {precision}": _make_gemm_rate(precision) for precision in NUMBER_BYTES},
    "memory": RateKernel(
        lambda task, variant: Addition(ARRAY[_get_device_kind(variant)]),
        lambda task, variant: 3 * ARRAY[_get_device_kind(variant)],
    ),
    "small operations": RateKernel(lambda task, variant: SmallOperations(CHAIN), lambda task, variant: CHAIN),
    "convolutions": RateKernel(
        _make_convolutions_kernel,
        _count_convolution_flop,
    ),
}
#: The kind, which is not one of rounds, that times each pass of each convolution separately.
LAYERS = "layers"
