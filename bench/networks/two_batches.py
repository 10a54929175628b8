"""A network's exports with two batch sizes: what differs between them is a multiple of the batch."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch

from bench.machine.environment import count_usable_cores

BATCHES = (2, 3)
#: The fork may take twice as long as the export in this process, and so many seconds more.
LEAST_WAIT_S = 10.0


@dataclass(frozen=True)
class Counterpart:
    """What the export with the second batch size has in the place of a node.

    Attributes:
        target: of the node, as a text.
        args, kwargs: of the node, in which None stands for other nodes.
        shape: of its value, of the first of several; None if it is no tensor.
    """

    target: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shape: tuple[int, ...] | None


def export_both(model: torch.nn.Module, image: Sequence[int]) -> tuple[torch.export.ExportedProgram, list[Counterpart]]:
    """Export a network in eval mode with each of `BATCHES`, side by side where this process can fork and has two cores.

    Args:
        image: channels, height and width.

    Returns:
        The program of the first size, and the counterpart of each of its nodes in that of the second.
    """
    if sys.platform != "linux" or (count_usable_cores() or 1) < 2:  # elsewhere forks are unsafe, or there are none
        return _export(model, BATCHES[0], image), _list_counterparts(model, image)
    forking = multiprocessing.get_context("fork")
    receiver, sender = forking.Pipe(duplex=False)
    beside = forking.Process(target=_send_counterparts, args=(sender, model, image), daemon=True)
    beside.start()
    sender.close()
    try:
        began = time.monotonic()
        program = _export(model, BATCHES[0], image)
        try:
            limit_s = LEAST_WAIT_S + 2 * (time.monotonic() - began)
            # A lock that another thread held while forking would be held for ever in the fork.
            counterparts = receiver.recv() if receiver.poll(limit_s) else None
        except EOFError:  # it died
            counterparts = None
        return program, counterparts or _list_counterparts(model, image)
    finally:
        beside.kill()


def read_shape(node: torch.fx.Node) -> tuple[int, ...] | None:
    """The shape of a node's value, of the first of several; None if it is no tensor."""
    value = node.meta.get("val")
    if isinstance(value, (list, tuple)):
        value = value[0]
    return tuple(map(int, value.shape)) if isinstance(value, torch.Tensor) else None


def _export(model: torch.nn.Module, batch: int, image: Sequence[int]) -> torch.export.ExportedProgram:
    with torch.no_grad():
        return torch.export.export(model, (torch.zeros(batch, *image),)).run_decompositions({})


def _list_counterparts(model: torch.nn.Module, image: Sequence[int]) -> list[Counterpart]:
    def leave_out(arguments: Any) -> Any:
        return torch.fx.node.map_arg(arguments, lambda _: None)

    nodes = _export(model, BATCHES[1], image).graph.nodes
    return [
        Counterpart(str(node.target), tuple(leave_out(node.args)), dict(leave_out(node.kwargs)), read_shape(node))
        for node in nodes
    ]


def _send_counterparts(sender: Connection, model: torch.nn.Module, image: Sequence[int]) -> None:
    """Send the counterparts from a fork, without output, and on one thread: OpenMP's threads are not forked."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    torch.set_num_threads(1)
    sender.send(_list_counterparts(model, image))
