"""On a CPU, XLA runs a convolution whose map is smaller than its kernel in plain loops, without a library's kernel."""

import os
import time
from collections.abc import Callable
from functools import partial
from statistics import median

os.environ["NPROC"] = "1"  # XLA's threads

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax

BATCH, ROUNDS, SECONDS = 128, 15, 0.05
#: Channels and pixels a side of ResNet-18's convolutions of 3 x 3 at 32 px.
LAYERS = ((64, 8), (128, 4), (256, 2), (512, 1))
#: Of each of these convolutions and an image, padding included.
FLOPS = 2 * 9 * 64 * 64 * 8 * 8


def convolve(maps: jax.Array, weights: jax.Array) -> jax.Array:
    """A convolution of 3 x 3 with a padding of one pixel."""
    dimensions = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(maps, weights, (1, 1), [(1, 1), (1, 1)], dimension_numbers=dimensions)


def describe_kernel(compiled: jax.stages.Compiled) -> str:
    """What XLA made of the convolution."""
    program = compiled.as_text()
    if "ynn_fusion" in program:
        return "YNNPACK"
    return "loops, operands swapped" if "rhs_reversal" in program else "another kernel"


def time_call(call: Callable[[], object]) -> float:
    """CPU seconds of a call, the mean over at least `SECONDS`: other programs have little influence on them."""
    calls, began = 0, time.process_time()
    while (spent := time.process_time() - began) < SECONDS:
        call()
        calls += 1
    return spent / calls


torch.set_num_threads(1)
for channels, side in LAYERS:
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((BATCH, side, side, channels), np.float32)
    weights = rng.standard_normal((3, 3, channels, channels), np.float32)
    arrays = jnp.array(maps), jnp.array(weights)
    compiled = jax.jit(convolve).lower(*arrays).compile()
    product = jnp.array(rng.standard_normal((side**2 * channels, side**2 * channels), np.float32))
    whole = arrays[0].reshape(BATCH, -1)
    multiply = jax.jit(jnp.matmul).lower(whole, product).compile()
    tensors = torch.from_numpy(maps).permute(0, 3, 1, 2), torch.from_numpy(weights).permute(3, 2, 0, 1).contiguous()
    calls = {
        "XLA": lambda compiled=compiled, arrays=arrays: compiled(*arrays).block_until_ready(),
        "product": lambda multiply=multiply, whole=whole, product=product: multiply(whole, product).block_until_ready(),
        "PyTorch": partial(torch.nn.functional.conv2d, *tensors, padding=1),
    }
    rates = {name: [] for name in calls}
    with torch.inference_mode():
        for _ in range(1 + ROUNDS):
            for name, call in calls.items():
                rates[name].append(FLOPS * BATCH / time_call(call) / 1e9)
    ratios = np.array(rates["XLA"][1:]) / np.array(rates["PyTorch"][1:])
    low, high = np.quantile(np.random.default_rng(0).choice(ratios, (2000, ROUNDS)).mean(axis=1), (0.025, 0.975))
    xla, matrix, pytorch = (median(rates[name][1:]) for name in calls)
    print(
        f"{channels} channels, {side} x {side}: XLA {xla:.1f} GFLOP/s ({describe_kernel(compiled)}), "
        f"{'as a product ' + format(matrix, '.0f') + ', ' if side <= 3 else ''}PyTorch {pytorch:.1f}; "
        f"XLA / PyTorch {ratios.mean():.3f} [{low:.3f}-{high:.3f}]"
    )
