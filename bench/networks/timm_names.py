"""The process that asks timm for its networks' names: the harness itself imports no framework.

`python -m bench.networks.timm_names` prints JSON: `{"names": […], "tags": {name: […]}}`, of all networks, or of a
sample. The tags are those of a network's pretrained weights.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import warnings
from collections.abc import Sequence

import timm
import torch


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the names; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.networks.timm_names", description=__doc__)
    parser.add_argument("--sample", type=int, help="so many names, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the drawing")
    parser.add_argument("--most-parameters", type=int, help="of a network in the sample")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    names = timm.list_models()
    if options.sample is not None:
        random.Random(options.seed).shuffle(names)
        names = list(_draw(names, options.sample, options.most_parameters))
    tags: dict[str, list[str]] = {name: [] for name in names}
    for weights in timm.list_pretrained():
        name, _, tag = weights.partition(".")
        if name in tags:
            tags[name].append(tag)
    print(json.dumps({"names": names, "tags": tags}))
    return 0


def _draw(names: Sequence[str], number: int, most_parameters: int | None) -> Sequence[str]:
    found: list[str] = []
    for name in names:
        if len(found) == number:
            break
        with contextlib.suppress(Exception):  # whatever a network raises that is built without memory
            if most_parameters is None or _count_parameters(name) <= most_parameters:
                found.append(name)
    return found


def _count_parameters(name: str) -> int:
    with torch.device("meta"):
        return sum(one.numel() for one in timm.create_model(name, pretrained=False, num_classes=0).parameters())


if __name__ == "__main__":
    sys.exit(main())
