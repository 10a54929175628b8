"""The task's recipe: Keras' optimizers."""

from backends.keras_optimizers import make_optimizer

__all__ = ["make_optimizer"]
