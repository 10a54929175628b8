"""Networks of timm, as tasks name them: without their classifier, for the task's size of images."""

from __future__ import annotations

from typing import Any

import torch


def make_network(name: str, image_size: int | None = None, pretrained: bool = False, **options: Any) -> torch.nn.Module:
    """Make timm's network up to its pooled features (n, d).

    Args:
        image_size: width and height of its images; None is its own. A network that is made for one size, as a
            transformer is, is made for this one, and timm fits the positions in pretrained weights to it.
        pretrained: whether timm downloads its weights, or finds them where it keeps them.
        options: further ones of `timm.create_model`.

    Raises:
        RuntimeError: timm has no such network.
    """
    import timm  # slow to import

    options |= {"pretrained": pretrained, "num_classes": 0}
    if image_size is not None:
        try:
            return timm.create_model(name, img_size=image_size, **options)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
    return timm.create_model(name, **options)
