"""Every framework runs each kernel as often as requested, by its own profiler: nothing is optimised away."""

from __future__ import annotations

import re

import pytest

from tests.backends.sessions import EACH

pytestmark = pytest.mark.slow

#: Times that each kernel was run under the profiler.
TIMES = 3
#: What profilers call the operations, in PyTorch, in TensorFlow and in XLA. In TensorFlow those of oneDNN have a
#: beginning of their own. XLA has one name for all that YNNPACK computes: products, convolutions, sums.
ONEDNN = "_?(mkl)?(native)?"
CONVOLUTION = f"{ONEDNN}(padwith)?(conv2d|depthwiseconv2dnative)"
XLA_PRODUCT = r"(ynn_fusion|dot(_general)?)(\.\d+)?"
XLA_CONVOLUTION = r"(ynn_fusion|conv_general_dilated|convolution(-(base|window)-dilated)?)(\.\d+)?"
CALLED = {
    "gemm fp32": f"aten::mm|{ONEDNN}matmul|{XLA_PRODUCT}",
    "gemm bf16": f"aten::mm|{ONEDNN}matmul|{XLA_PRODUCT}",
    "addition": "aten::add_|assignaddvariableop|wrapped_add",
    "small": r"aten::(tanh|add)|tanh|addv2|wrapped_(tanh|add)(\.\d+)?",
    "forward": f"aten::convolution|{CONVOLUTION}|{XLA_CONVOLUTION}",
    "weight_gradient": f"aten::convolution_backward|{CONVOLUTION}backpropfilter|{XLA_CONVOLUTION}",
    "input_gradient": f"aten::convolution_backward|{CONVOLUTION}backpropinput|{XLA_CONVOLUTION}",
}
#: Backends whose kernels are XLA's.
XLA = ("jax", "keras-jax")


@pytest.mark.parametrize("backend", EACH)
@pytest.mark.parametrize("kernel", CALLED)
def test_a_kernel_runs_whole_each_time(evidence, backend, kernel):
    found = evidence.facts(backend, "kernels")
    once = {"small": 20, **dict.fromkeys(("forward", "weight_gradient", "input_gradient"), found["layers"])}
    if backend in XLA:  # the weights' gradient of a depthwise convolution is a convolution, and a sum
        once["weight_gradient"] += found["depthwise"]
    seen = {name: n for name, n in found[kernel].items() if re.fullmatch(CALLED[kernel], name, re.IGNORECASE)}
    assert sum(seen.values()) == TIMES * once.get(kernel, 1), found[kernel]
