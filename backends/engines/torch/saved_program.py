"""Networks of the user: programs that `torch.export.save` wrote."""

from __future__ import annotations

import torch


def load_module(file: str) -> torch.nn.Module:
    """The module of a saved program, which computes features (n, d) of images (n, 3, s, s). It has no modes: it
    computes as it did when it was exported.

    Raises:
        Exception: whatever `torch.export.load` raises of a file that it cannot read, as one of a newer schema.
    """
    module = load_program(file).module()
    for part in module.modules():
        part.training = False  # `eval` is refused, and TorchScript asks for it
    return module


def load_program(file: str) -> torch.export.ExportedProgram:
    """The program in a file; raises as `load_module`."""
    return torch.export.load(file)


def save_module(module: torch.nn.Module, image_size: int, file: str) -> None:
    """Save a module, in eval mode, as a program for batches of any number of images (n, 3, image_size, image_size).

    Raises:
        Exception: whatever `torch.export.export` raises of a module that it cannot export.
    """
    modes = {part: part.training for part in module.modules()}
    try:
        module.eval()
        sizes = ({0: torch.export.Dim("batch")},)
        images = torch.zeros(2, 3, image_size, image_size)
        torch.export.save(torch.export.export(module, (images,), dynamic_shapes=sizes), file)
    finally:
        for part, mode in modes.items():
            part.training = mode
