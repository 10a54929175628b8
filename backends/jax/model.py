"""The backbone in Flax NNX: how it is built, loaded from the checkpoint, executed and read back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from backends import folding
from backends.convolutions import Geometry, list_convolutions
from backends.engines.jax.device import DTYPES
from backends.exported.executed_network import is_built_from_graph
from backends.extraction import ExtractionForm, Extractor, choose_batch_size
from backends.jax.exported_network import BuiltNetwork
from backends.jax.preprocess import make_transform
from backends.knobs import get_value
from backends.task import DATASETS, Task, Variant
from backends.values import Tensors

_PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
#: The forms of extraction: execution, and about how many seconds they take to make.
EXTRACTION_FORMS = (("functional", 3.0), ("compiled_frozen", 4.0))
#: PyTorch's layout to Flax': (out, in, h, w) to (h, w, in, out), also of depthwise convolutions.
CONVOLUTION = (2, 3, 1, 0)
#: PyTorch's names of a normalisation's tensors, and Flax'.
NORMALISATION = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
#: The place of a tensor in the tree of modules.
Path = tuple[str | int, ...]


class UnbiasedBatchNorm(nnx.BatchNorm):
    """Moves the running variance by the *unbiased* batch variance, as PyTorch does; Flax moves it by the biased one.

    Over n values they differ by n / (n - 1): a factor 4/3 in the last stage of a ResNet-18 at 32 px and batch 4.
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        """As `nnx.BatchNorm`; inputs (n, h, w, c)."""
        kept, values = self.var[...] * self.momentum, x.size // x.shape[-1]
        outputs = super().__call__(x)
        self.var[...] = kept + (self.var[...] - kept) * (values / (values - 1))
        return outputs


class Layers:
    """Makes the layers of a network as a variant executes them.

    Convolutions compute, and keep their weights, in the variant's precision. With folding they have a bias, there are
    no normalisations, and some are products.
    """

    def __init__(self, task: Task, variant: Variant) -> None:
        self.convolutions = {layer.name: layer for layer in list_convolutions(task.network, task.image_size)}
        self.products = folding.find_product_convolutions(task, variant)
        self.folds = folding.folds_batch_norm(variant)
        self.options = {
            "use_bias": self.folds,
            "dtype": DTYPES[variant.precision],
            "param_dtype": DTYPES[variant.precision],
            "kernel_init": nnx.initializers.zeros_init(),  # the checkpoint is loaded later
            "rngs": nnx.Rngs(0),
        }
        self.network, self.batch_norm = task.network, task.batch_norm

    def convolution(self, name: str) -> nnx.Conv:
        """The convolution of that name in the checkpoint."""
        layer = self.convolutions[name]
        if name in self.products:
            return ProductConvolution(self.products[name], layer.in_channels, layer.out_channels, **self.options)
        return nnx.Conv(
            layer.in_channels,
            layer.out_channels,
            (layer.kernel, layer.kernel),
            (layer.stride, layer.stride),
            padding=((layer.pad_before, layer.pad_after),) * 2,
            feature_group_count=layer.groups,
            **self.options,
        )

    def norm(self, channels: int) -> Callable[[jax.Array], jax.Array]:
        """The normalisation after a convolution; if it is folded, nothing is left of it."""
        if self.folds:
            return nnx.identity
        moves = self.batch_norm == "batch_stats"
        return (UnbiasedBatchNorm if moves else nnx.BatchNorm)(
            channels,
            use_running_average=not moves,
            momentum=self.network.momentum,
            epsilon=self.network.epsilon,
            use_fast_variance=False,  # E[x²] - E[x]² cancels
            rngs=nnx.Rngs(0),
        )


class Block(nnx.Module):
    """A residual block of ResNet: basic or bottleneck (He et al., "Deep Residual Learning", CVPR 2016, figure 5)."""

    def __init__(self, layers: Layers, prefix: str) -> None:
        self.depth = sum(name.startswith(f"{prefix}.conv") for name in layers.convolutions)
        for number in range(1, self.depth + 1):
            name = f"{prefix}.conv{number}"
            setattr(self, f"conv{number}", layers.convolution(name))
            setattr(self, f"bn{number}", layers.norm(layers.convolutions[name].out_channels))
        shortcut = layers.convolutions.get(f"{prefix}.downsample.0")
        self.downsample = (
            nnx.List([layers.convolution(shortcut.name), layers.norm(shortcut.out_channels)]) if shortcut else None
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Inputs and outputs are maps (n, h, w, c)."""
        shortcut = x
        if self.downsample is not None:
            convolution, norm = self.downsample
            shortcut = norm(convolution(x))
        for number in range(1, self.depth + 1):
            x = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x))
            x = nnx.relu(x if number < self.depth else x + shortcut)
        return x


class ResNet(nnx.Module):
    """ResNet up to its last feature map, with torchvision's names."""

    def __init__(self, layers: Layers) -> None:
        self.conv1, self.bn1 = layers.convolution("conv1"), layers.norm(64)
        self.stages = len(layers.network.blocks)
        for stage, repeats in enumerate(layers.network.blocks, start=1):
            setattr(self, f"layer{stage}", nnx.List([Block(layers, f"layer{stage}.{at}") for at in range(repeats)]))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Inputs (n, s, s, 3), outputs (n, h, w, d)."""
        x = nnx.relu(self.bn1(self.conv1(x)))
        x = nnx.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for stage in range(1, self.stages + 1):
            for block in getattr(self, f"layer{stage}"):
                x = block(x)
        return x


class InvertedBlock(nnx.Module):
    """A block of EfficientNet-Lite: expand, filter each channel, project (Tan & Le, "EfficientNet", ICML 2019)."""

    def __init__(self, layers: Layers, prefix: str) -> None:
        names = [name for name in layers.convolutions if name.startswith(f"{prefix}.")]
        self.names = tuple(name.rpartition(".")[2] for name in names)
        for number, name in enumerate(names, start=1):
            setattr(self, self.names[number - 1], layers.convolution(name))
            setattr(self, f"bn{number}", layers.norm(layers.convolutions[name].out_channels))
        self.adds_shortcut = layers.convolutions[names[-1]].adds_shortcut

    def __call__(self, x: jax.Array) -> jax.Array:
        """Inputs and outputs are maps (n, h, w, c)."""
        shortcut = x
        for number, name in enumerate(self.names, start=1):
            x = getattr(self, f"bn{number}")(getattr(self, name)(x))
            x = nnx.relu6(x) if number < len(self.names) else x
        return x + shortcut if self.adds_shortcut else x


class EfficientNetLite(nnx.Module):
    """EfficientNet-Lite up to its last feature map, with timm's names."""

    def __init__(self, layers: Layers) -> None:
        self.conv_stem, self.bn1 = layers.convolution("conv_stem"), layers.norm(32)
        self.blocks = nnx.List(
            [
                nnx.List([InvertedBlock(layers, f"blocks.{number}.{at}") for at in range(stage.repeats)])
                for number, stage in enumerate(layers.network.stages)
            ]
        )
        self.conv_head, self.bn2 = layers.convolution("conv_head"), layers.norm(layers.network.features)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Inputs (n, s, s, 3), outputs (n, h, w, d)."""
        x = nnx.relu6(self.bn1(self.conv_stem(x)))
        for stage in self.blocks:
            for block in stage:
                x = block(x)
        return nnx.relu6(self.bn2(self.conv_head(x)))


FAMILIES: dict[str, type[nnx.Module]] = {"resnet": ResNet, "efficientnet_lite": EfficientNetLite}


class Classifier(nnx.Module):
    """The backbone, and the head on its pooled features."""

    def __init__(self, backbone: nnx.Module, features: int, classes: int) -> None:
        self.backbone = backbone
        self.head = nnx.Linear(features, classes, kernel_init=nnx.initializers.zeros_init(), rngs=nnx.Rngs(0))


def build(task: Task, variant: Variant) -> nnx.Module:
    """The backbone up to its last feature map (n, h, w, d); built from its graph, up to its features (n, d)."""
    if is_built_from_graph(task, variant):
        return BuiltNetwork(task, variant)
    return FAMILIES[task.network.family](Layers(task, variant))


def make_forward(backbone: nnx.Module, variant: Variant) -> Callable[[nnx.Module, jax.Array], jax.Array]:
    """A function of the loaded backbone and inputs (n, s, s, 3) that computes pooled features (n, d) float32.

    For `compiled_frozen` the weights are constants of the function that is compiled, whatever its first argument:
    XLA then computes all that depends only on them ahead of time.
    """
    if get_value("jax", variant, "execution") != "compiled_frozen":
        return _compute_features
    graph, state = nnx.split(backbone)
    return lambda backbone, inputs: _compute_features(nnx.merge(graph, state), inputs)


def _compute_features(backbone: nnx.Module, inputs: jax.Array) -> jax.Array:
    outputs = backbone(inputs).astype(jnp.float32)
    return jnp.mean(outputs, (1, 2)) if outputs.ndim == 4 else outputs


def find_knobs_in_force(backbone: nnx.Module, forward: Callable, variant: Variant) -> dict[str, str]:
    """Find the values of knobs that are in force in the built backbone and in what executes it."""
    execution = get_value("jax", variant, "execution")
    execution = execution if forward is _compute_features else "compiled_frozen"
    if isinstance(backbone, BuiltNetwork):
        return {"execution": execution, **backbone.network.in_force}
    modules = [module for _, module in nnx.iter_modules(backbone)]
    types = {str(module.kernel.dtype) for module in modules if isinstance(module, nnx.Conv)}
    folded = "conv_bn"
    if any(isinstance(module, ProductConvolution) for module in modules):
        folded = "product"
    elif any(isinstance(module, nnx.BatchNorm) for module in modules):
        folded = "none"
    return {
        "execution": execution,
        "layout": "nhwc",
        "precision": "+".join(sorted(_PRECISIONS[name] for name in types)),
        "folding": folded,
        "graph": "nnx_modules",
    }


def list_extraction_forms(task: Task, variant: Variant) -> tuple[ExtractionForm, ...]:
    """The forms of extraction, see `Trainer.list_extraction_forms`. On a GPU there is only the first one."""
    return tuple(
        ExtractionForm(
            name=execution,
            variant=folding.make_extraction_variant(variant, execution=execution),
            batch_size=choose_batch_size(task, variant),
            making_s=making_s,
        )
        for execution, making_s in (EXTRACTION_FORMS if variant.device == "cpu" else EXTRACTION_FORMS[:1])
    )


def make_extractor(task: Task, form: ExtractionForm, tensors: Tensors) -> Extractor:
    """Make a form of extraction from the checkpoint's tensors."""
    backbone = build(task, form.variant)
    load(backbone, folding.prepare_tensors(task, tensors, form.variant))
    forward, transform = make_forward(backbone, form.variant), make_transform(task)
    graph, state = nnx.split(backbone)
    side = DATASETS[task.dataset][0]
    images = jax.ShapeDtypeStruct((form.batch_size, side, side, 3), np.uint8)
    function = jax.jit(lambda state, images: forward(nnx.merge(graph, state), transform(images)))
    compute = function.lower(state, images).compile()
    return lambda images: np.array(compute(state, images))


def load(backbone: nnx.Module, tensors: Tensors) -> None:
    """Copy executed tensors into the backbone."""
    if isinstance(backbone, BuiltNetwork):
        return backbone.load(tensors)
    for name, tensor in tensors.items():
        variable = _find_variable(backbone, name)
        laid_out = tensor.transpose(CONVOLUTION) if tensor.ndim == 4 else tensor
        variable[...] = jnp.array(laid_out, variable.dtype)


def read(backbone: nnx.Module, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read the backbone's executed tensors, float32, named and laid out as in the checkpoint."""
    return {name: lay_out_as_in_checkpoint(backbone, name, _find_variable(backbone, name)[...]) for name in names}


class ProductConvolution(nnx.Conv):
    """A convolution of a whole map as one product, see `folding.make_product_weights`.

    Inputs are (n, side, side, c).
    """

    def __init__(self, geometry: Geometry, channels: int, filters: int, **options) -> None:
        self.out_side = -(-geometry.side // geometry.stride)
        super().__init__(geometry.side**2 * channels, self.out_side**2 * filters, (1, 1), **options)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """The outputs (n, side', side', filters)."""
        kernel, bias = self.kernel[...], self.bias[...]
        outputs = inputs.reshape(len(inputs), -1).astype(kernel.dtype) @ kernel[0, 0] + bias
        return outputs.reshape(len(inputs), self.out_side, self.out_side, -1)


def lay_out_as_in_checkpoint(backbone: nnx.Module, name: str, value: jax.Array) -> np.ndarray:
    """A copy of a tensor's value, or of its gradient, in PyTorch's layout."""
    if isinstance(backbone, BuiltNetwork):
        return backbone.lay_out_as_in_checkpoint(name, value)
    array = np.asarray(value.astype(jnp.float32))
    return np.array(array.transpose(np.argsort(CONVOLUTION)) if array.ndim == 4 else array, order="C")


def get_path(backbone: nnx.Module, name: str) -> Path:
    """The path of a checkpoint's tensor in the backbone: attributes, and places in lists."""
    if isinstance(backbone, BuiltNetwork):
        return "tensors", name
    *place, kind = name.split(".")
    path = tuple(int(part) if part.isdecimal() else part for part in place)
    if isinstance(_follow(backbone, path), nnx.BatchNorm):
        return (*path, NORMALISATION[kind])
    return (*path, "bias" if kind == "bias" else "kernel")


def _follow(module: nnx.Module, path: Path) -> nnx.Module | nnx.Variable:
    for part in path:
        module = module[part] if isinstance(part, int) or isinstance(module, nnx.Dict) else getattr(module, part)
    return module


def _find_variable(backbone: nnx.Module, name: str) -> nnx.Variable:
    return _follow(backbone, get_path(backbone, name))
