"""Training of the head on features that were computed before: TensorFlow's."""

from backends.engines.tensorflow.head import HeadTraining

__all__ = ["HeadTraining"]
