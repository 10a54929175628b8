"""Preprocessing: raw images to network inputs, as in the backend `pytorch`."""

from backends.pytorch.preprocess import augment, augment_image, make_batch_transform, make_transform

__all__ = ["augment", "augment_image", "make_batch_transform", "make_transform"]
