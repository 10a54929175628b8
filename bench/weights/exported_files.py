"""The files of an exported network, in one folder, which is also a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from backends.exported.exported_backbone import ExportedNetwork, add_network, is_exported
from backends.exported.network_graph import NetworkGraph, read_graph, write_graph
from backends.task import Task
from bench.weights.checkpoint_folder import MODEL, read_model, write_model

#: The neutral graph, see docs/network-graph.md.
GRAPH = "graph.json"
#: The tensors that it names and that no checkpoint has; `model.safetensors` has the others.
CONSTANTS = "constants.safetensors"
#: The user's program, as `torch.export.save` wrote it, if the network was one.
SAVED_PROGRAM = "program.pt2"
#: `images`, network inputs (n, height, width, channels) float32, and their `features` (n, d) in double precision.
EVIDENCE = "evidence.safetensors"
FEATURES = "features"


def write_files(folder: Path, graph: NetworkGraph, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a graph and its tensors into a folder that exists."""
    constants = set(graph.constants)
    save_file({name: one for name, one in tensors.items() if name in constants}, folder / CONSTANTS)
    weights = {name: one for name, one in tensors.items() if name not in constants}
    write_model(folder / MODEL, weights, f"{graph.source['network']}, {graph.source['weights']}")
    (folder / GRAPH).write_text(json.dumps(write_graph(graph), separators=(",", ":"), allow_nan=False))


def read_network(folder: Path) -> ExportedNetwork:
    """Read the graph and the constants in a folder.

    Raises:
        InvalidGraph: the graph is not one of this format.
    """
    program = folder / SAVED_PROGRAM
    return ExportedNetwork(
        read_graph(json.loads((folder / GRAPH).read_text())),
        load_file(folder / CONSTANTS),
        str(program.absolute()) if program.is_file() else "",
    )


def get_graph_folder(checkpoint: Path, task: Task) -> Path:
    """The folder of a task's graph: of an exported network that of its checkpoint, of a backbone of the table a folder
    in it, which may be missing.
    """
    return checkpoint if is_exported(task.backbone) else checkpoint / f"exported-{task.image_size}"


def read_weights(folder: Path, task: Task) -> dict[str, np.ndarray]:
    """Read the weights of a task's checkpoint, as `checkpoint_folder.read_model`. If its network was exported, this
    process knows it from then on.
    """
    graph = get_graph_folder(folder, task)
    if (graph / GRAPH).is_file():
        add_network(task.backbone, task.image_size, read_network(graph))
    return read_model(folder / MODEL, task.network)
