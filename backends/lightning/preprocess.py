"""Preprocessing: raw images to network inputs, as in the backend `pytorch`."""

from backends.pytorch.preprocess import make_batch_transform, make_transform

__all__ = ["make_batch_transform", "make_transform"]
