"""Every framework runs each kernel as often as requested, by its own profiler: nothing is optimised away."""

from __future__ import annotations

import re

import pytest

from tests.backends.sessions import EACH

pytestmark = pytest.mark.slow

#: Times that each kernel was run under the profiler.
TIMES = 3
#: What profilers call the operations, in PyTorch and in TensorFlow; those of oneDNN have a beginning of their own.
ONEDNN = "_?(mkl)?(native)?"
CONVOLUTION = f"{ONEDNN}(padwith)?(conv2d|depthwiseconv2dnative)"
CALLED = {
    "gemm fp32": f"aten::mm|{ONEDNN}matmul",
    "gemm bf16": f"aten::mm|{ONEDNN}matmul",
    "addition": "aten::add_|assignaddvariableop",
    "small": "aten::(tanh|add)|tanh|addv2",
    "forward": f"aten::convolution|{CONVOLUTION}",
    "weight_gradient": f"aten::convolution_backward|{CONVOLUTION}backpropfilter",
    "input_gradient": f"aten::convolution_backward|{CONVOLUTION}backpropinput",
}


@pytest.mark.parametrize("backend", EACH)
@pytest.mark.parametrize("kernel", CALLED)
def test_a_kernel_runs_whole_each_time(evidence, backend, kernel):
    found = evidence.facts(backend, "kernels")
    once = {"small": 20, **dict.fromkeys(("forward", "weight_gradient", "input_gradient"), found["layers"])}
    seen = {name: n for name, n in found[kernel].items() if re.fullmatch(CALLED[kernel], name, re.IGNORECASE)}
    assert sum(seen.values()) == TIMES * once.get(kernel, 1), found[kernel]
