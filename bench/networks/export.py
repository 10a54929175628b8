"""The process that exports a network of timm as a neutral graph: the harness itself imports no framework.

`python -m bench.networks.export NAME --out FOLDER` writes `graph.json`, `model.safetensors`, `constants.safetensors`;
with `--evidence` also `evidence.safetensors`: some images (n, side, side, channels) with the features (n, d)
that PyTorch computes of them in double precision. The last line on stdout is JSON: what is in `describe`, or
`{"error": …}` with exit status 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import timm
import torch
from huggingface_hub import constants, get_session
from safetensors.numpy import save_file

from backends.engines.torch.saved_program import load_program
from backends.engines.torch.timm_network import make_network
from backends.exported.network_graph import IMAGES
from bench.networks.drawn_weights import draw_weights
from bench.networks.graph_writer import Unexportable, Unsuitable
from bench.networks.translation import translate
from bench.weights.exported_files import EVIDENCE, FEATURES, write_files

#: Images of the evidence.
EVIDENCE_IMAGES = 4
#: Seconds that the hub may take to answer.
ANSWER_S = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Export the network of the command line's options; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.networks.export", description=__doc__)
    parser.add_argument("name", help="of the network in timm, or the file of a saved program (.pt2)")
    parser.add_argument("--out", required=True, type=Path, help="folder to write")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    parser.add_argument("--pretrained", action="store_true", help="timm's weights in place of random ones")
    parser.add_argument("--checkpoint", type=Path, help="a file of timm's tensors in place of random weights")
    parser.add_argument("--image-size", type=int, help="width and height of images; the network's own without it")
    parser.add_argument("--evidence", action="store_true", help="write images and PyTorch's features of them, too")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    torch.manual_seed(options.seed)
    about: dict[str, Any] = {}
    try:
        model, image, source = _load_program(options) if options.name.endswith(".pt2") else _load_timm(options, about)
        write_network(options.out, model, image, source)
        if options.evidence:
            about["rounding"] = write_evidence(options.out, model, image)
        print(json.dumps(about))
        return 0
    except NoNetwork as error:
        answer = error.args[0]
    except Unexportable as error:
        answer = {"error": str(error), "lacking": not isinstance(error, Unsuitable)}
    except Exception as error:  # whatever a network, or its export, raises
        answer = {"error": _get_first_line(error)}
    print(json.dumps({**about, **answer}))
    return 1


class NoNetwork(Exception):
    """There is no such network, or not with such weights; the argument is the answer."""


#: A network in eval mode, channels, height and width of its images, and where it comes from.
Loaded = tuple[torch.nn.Module, tuple[int, int, int], dict[str, str]]


def _load_timm(options: argparse.Namespace, about: dict[str, Any]) -> Loaded:
    """Load a network of timm; what is known of it goes into `about`."""
    if not timm.is_model(options.name):
        raise NoNetwork({"error": f"timm has no network {options.name}", "known": timm.list_models()})
    name, _, tag = options.name.partition(".")
    if tag and not timm.is_model_pretrained(options.name):
        known = ", ".join(one.partition(".")[2] for one in timm.list_pretrained(f"{name}.*")) or "random ones alone"
        raise NoNetwork({"error": f"timm has no weights {tag!r} of {name}: it has {known}"})
    unreachable = _stay_offline_without_hub() if options.pretrained else ""
    try:
        model = _make_network(options).eval()
    except Exception as error:  # whatever timm raises about weights
        if not (options.pretrained or options.checkpoint):
            raise
        kind = "offline" if options.pretrained else "unreadable"
        raise NoNetwork({"error": unreachable or _get_first_line(error), kind: True}) from None
    about |= describe(options.name, model)
    channels, height, width = model.pretrained_cfg["input_size"]
    image = (channels, options.image_size or height, options.image_size or width)
    weights = f"file {options.checkpoint}"
    if options.pretrained:
        weights = str(model.pretrained_cfg.get("hf_hub_id") or model.pretrained_cfg.get("url"))
    elif not options.checkpoint:
        draw_weights(model, image)
        weights = f"random {options.seed}"
    return model, image, {"network": f"timm/{options.name}", "weights": weights}


def _stay_offline_without_hub() -> str:
    """Have Hugging Face's client look into its cache alone where its hub cannot be reached: it would try for 50 s.

    Returns:
        The reason; empty if the hub answers, whatever it says.
    """
    try:
        get_session().head(constants.ENDPOINT, timeout=ANSWER_S)
    except Exception as error:  # of the client's library, which differs between its versions
        constants.HF_HUB_OFFLINE = True
        return _get_first_line(error)
    return ""


def _load_program(options: argparse.Namespace) -> Loaded:
    """Load a program that `torch.export.save` wrote."""
    try:
        program = load_program(options.name)
    except Exception as error:  # whatever PyTorch raises of such a file
        first_sentence = _get_first_line(error).partition(". ")[0]  # others speak of warnings that are not shown
        raise NoNetwork({"error": first_sentence, "no_program": True}) from None
    image = check_inputs(program, options.image_size)
    return program.module(), image, {"network": Path(options.name).name, "weights": "its own"}


def check_inputs(program: torch.export.ExportedProgram, image_size: int) -> tuple[int, int, int]:
    """Channels, height and width of the images that a program takes.

    Raises:
        Unsuitable: it takes something else than batches of any size of images of that size.
    """
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    inputs = [nodes[name].meta["val"] for name in program.graph_signature.user_inputs]
    if len(inputs) != 1 or not isinstance(inputs[0], torch.Tensor) or inputs[0].ndim != 4:
        raise Unsuitable("a program that takes something else: let it take one batch of images (n, 3, height, width)")
    batch, *image = inputs[0].shape
    if isinstance(batch, int):
        raise Unsuitable(
            f"a program for batches of {batch}: export it with dynamic_shapes=({{0: torch.export.Dim('batch')}},)"
        )
    if inputs[0].dtype != torch.float32:
        raise Unsuitable(f"a program for images of {inputs[0].dtype}: export it with images of torch.float32")
    if image[0] != 3:
        raise Unsuitable(f"a program that takes {image[0]} channels: images have 3")
    if any(size != image_size for size in image[1:]):
        raise Unsuitable(f"a program for images of {image[1]} x {image[2]} px: use its size with --image-size")
    return 3, image_size, image_size


def _make_network(options: argparse.Namespace) -> torch.nn.Module:
    """The network with the weights of the options; random ones are drawn later. timm fits the positions in a file's
    weights to the size of images, and leaves the classifier out.
    """
    own = {"file": str(options.checkpoint), "custom_load": False}
    overlay = {"pretrained_cfg_overlay": own} if options.checkpoint else {}
    missing: list[str] = []
    with _record_missing(missing):
        model = make_network(options.name, options.image_size, options.pretrained or bool(overlay), **overlay)
    if lacking := [name for name in missing if not name.endswith("num_batches_tracked")]:
        raise ValueError(f"it has no {lacking[0]}")
    return model


@contextlib.contextmanager
def _record_missing(missing: list[str]) -> Iterator[None]:
    """Record the names of tensors that weights lack: timm loads what there is, without an error."""
    load = torch.nn.Module.load_state_dict

    def load_and_record(module: torch.nn.Module, *arguments: Any, **options: Any) -> Any:
        result = load(module, *arguments, **options)
        missing.extend(result.missing_keys)
        return result

    with patch.object(torch.nn.Module, "load_state_dict", load_and_record):
        yield


def _get_first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def write_network(folder: Path, model: torch.nn.Module, image: tuple[int, int, int], source: Mapping[str, str]) -> None:
    """Write the files of a network in eval mode, see `bench.weights.exported_files`.

    Args:
        image: channels, height and width.

    Raises:
        Unexportable: an operation has no counterpart, or a feature is not finite.
    """
    graph, tensors = translate(model, image, source)
    with torch.no_grad():
        features = model(torch.randn(1, *image))
    if not isinstance(features, torch.Tensor):
        raise Unsuitable(f"a network that returns a {type(features).__name__}: return the features (n, d) alone")
    if not features.isfinite().all():
        raise Unsuitable("features that are not finite: look at its weights")
    folder.mkdir(parents=True, exist_ok=True)
    write_files(folder, graph, tensors)


def write_evidence(folder: Path, model: torch.nn.Module, image: tuple[int, int, int]) -> float:
    """Write some images, and PyTorch's features of them in double precision, in which the model is left.

    Returns:
        How far features in single precision are from those in double precision, see `compute_evidence`.
    """
    images = torch.randn(EVIDENCE_IMAGES, *image)
    features, rounding = compute_evidence(model, images)
    inputs = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
    save_file({IMAGES: inputs, FEATURES: features}, folder / EVIDENCE)
    return rounding


def describe(name: str, model: torch.nn.Module) -> dict[str, Any]:
    """The family of a network, timm's module, and the number of its parameters."""
    family = timm.models.model_entrypoint(name).__module__.rpartition(".")[2]
    return {"family": family, "parameters": sum(one.numel() for one in model.parameters())}


@torch.no_grad()
def compute_evidence(model: torch.nn.Module, images: torch.Tensor) -> tuple[np.ndarray, float]:
    """Features (n, d) of images in double precision, and how far those in single precision are from them at most,
    relative to the largest.

    Raises:
        Unsuitable: a feature is not finite.
    """
    single = model(images).double()
    exact = model.double()(images.double())
    if not (single.isfinite().all() and exact.isfinite().all()):
        raise Unsuitable("features that are not finite: look at its weights")
    rounding = ((single - exact).abs().max() / exact.abs().max()).item()
    return np.ascontiguousarray(exact.numpy()), rounding


if __name__ == "__main__":
    sys.exit(main())
