"""The input pipeline: tf.data, as Keras' transfer-learning guide sets it up (resize, batch, prefetch)."""

from __future__ import annotations

from backends.tensorflow.pipeline import DESCRIPTION, Loading, loader

__all__ = ["DESCRIPTION", "Loading", "loader"]
