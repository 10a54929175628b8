"""The fine-tune in JAX: a Flax NNX model, Optax' SGD, `nnx.jit` steps over NumPy batches."""

from backends.jax.trainer import Jax

BACKEND = Jax()
