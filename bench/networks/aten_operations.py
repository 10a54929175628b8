"""PyTorch's operations as operations of the neutral graph: one function each, by PyTorch's name.

A function gets a `Node` and adds operations to a `GraphWriter`. Their meaning: pytorch.org/docs, torch.nn.functional.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.networks import aten_arithmetic as arithmetic
from bench.networks import aten_maps as maps
from bench.networks import aten_recurrence as recurrence
from bench.networks import aten_resizing as resizing
from bench.networks import aten_shapes as shapes
from bench.networks import aten_windows as windows
from bench.networks.aten_arithmetic import Result
from bench.networks.aten_einsum import einsum
from bench.networks.graph_writer import GraphWriter, Node

#: By PyTorch's name, without `aten::` and the overload.
OPERATIONS: dict[str, Callable[[Node, GraphWriter], Result]] = {
    **dict.fromkeys(("clone", "alias", "contiguous", "detach", "lift_fresh_copy"), arithmetic.same),
    "dropout": arithmetic.dropout,
    **dict.fromkeys(("_to_copy", "to", "type_as"), arithmetic.convert),
    **{name: arithmetic.unary(name) for name in ("relu", "sigmoid", "silu", "tanh", "exp", "sqrt")},
    "elu": arithmetic.by_default("elu", alpha=1, scale=1, input_scale=1),
    "softplus": arithmetic.by_default("softplus", beta=1, threshold=20),
    "hardsigmoid": arithmetic.unary("hard_sigmoid"),
    "hardswish": arithmetic.unary("hard_swish"),
    "gelu": arithmetic.gelu,
    "leaky_relu": arithmetic.leaky_relu,
    "mish": arithmetic.mish,
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max", "hardtanh"), arithmetic.clamp),
    "relu6": arithmetic.relu6,
    **dict.fromkeys(("softmax", "_softmax"), arithmetic.softmax),
    "add": arithmetic.binary("add"),
    "sub": arithmetic.binary("subtract"),
    "rsub": arithmetic.reverse_subtract,
    "mul": arithmetic.binary("multiply"),
    "div": arithmetic.binary("divide"),
    "pow": arithmetic.power,
    "square": arithmetic.square,
    "neg": arithmetic.negate,
    "rsqrt": arithmetic.reverse_root,
    "addcmul": arithmetic.multiply_add,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), maps.convolution),
    "conv_transpose2d": windows.transposed_convolution,
    "linear": maps.linear,
    **dict.fromkeys(("matmul", "bmm", "mm"), maps.matmul),
    "einsum": einsum,
    "scaled_dot_product_attention": maps.attention,
    "lstm": recurrence.lstm,
    "_native_batch_norm_legit_no_training": maps.batch_norm,
    "_native_batch_norm_legit": maps.standardise,
    "layer_norm": maps.layer_norm,
    "rms_norm": maps.rms_norm,
    "group_norm": maps.group_norm,
    "max_pool2d": maps.max_pool,
    "avg_pool1d": maps.average_pool_of_sequences,
    "avg_pool2d": maps.average_pool,
    "adaptive_avg_pool2d": resizing.adaptive_pool,
    "mean": arithmetic.reduce("mean"),
    "sum": arithmetic.reduce("sum"),
    "amax": arithmetic.reduce("max"),
    "var": arithmetic.variance,
    "linalg_vector_norm": arithmetic.norm,
    **dict.fromkeys(
        ("view", "reshape", "_unsafe_view", "flatten", "unsqueeze", "squeeze", "unflatten"), shapes.reshape
    ),
    **dict.fromkeys(("expand", "expand_as"), shapes.broadcast),
    **dict.fromkeys(("repeat", "tile"), shapes.tile),
    "repeat_interleave": shapes.repeat_each,
    "permute": shapes.permute,
    "transpose": shapes.transpose,
    "cat": shapes.concatenate,
    "stack": shapes.stack,
    "slice": shapes.cut,
    "slice_scatter": shapes.put_in_place,
    "copy": shapes.copy,
    "select": shapes.select,
    "unbind": shapes.unbind,
    **dict.fromkeys(("split", "split_with_sizes"), shapes.split),
    "chunk": shapes.chunk,
    "index": shapes.index,
    "index_select": shapes.index_select,
    **dict.fromkeys(("pad", "constant_pad_nd"), shapes.pad),
    "roll": shapes.roll,
    "unfold": windows.unfold,
    "im2col": windows.take_columns,
    "col2im": windows.add_columns,
    "upsample_nearest2d": resizing.resize_nearest,
    **dict.fromkeys(("upsample_bicubic2d", "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa"), resizing.resize),
    "upsample_bilinear2d": resizing.resize_bilinear,
}
