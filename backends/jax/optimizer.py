"""The task's recipe in Optax."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from backends import recipe
from backends.task import Task


def make_optimizer(task: Task) -> optax.GradientTransformation:
    """The optimizer of a task. Optax multiplies by the rate outside of the momentum, as PyTorch does, and adds
    AdamW's epsilon to the root.
    """
    rule = _make_rule(task)
    if task.clip_norm:
        rule = optax.chain(_clip(task.clip_norm), rule)
    return optax.MultiSteps(rule, task.accumulate).gradient_transformation() if task.accumulate > 1 else rule


def _make_rule(task: Task) -> optax.GradientTransformation:
    """What makes an update of the gradients, after clipping."""
    if task.update_rule == "adamw":
        return optax.adamw(_make_schedule(task), task.beta1, task.beta2, task.epsilon, weight_decay=task.weight_decay)
    sgd = optax.sgd(_make_schedule(task), task.momentum, task.nesterov)
    return optax.chain(optax.add_decayed_weights(task.weight_decay), sgd) if task.weight_decay else sgd


def _clip(clip_norm: float) -> optax.GradientTransformation:
    """Clipping by the global norm as PyTorch defines it. `optax.clip_by_global_norm` adds nothing to the norm."""

    def clip(gradients: optax.Updates, _: optax.Params | None) -> optax.Updates:
        norm = jnp.sqrt(sum(jnp.sum(jnp.square(gradient)) for gradient in jax.tree.leaves(gradients)))
        scale = jnp.minimum(clip_norm / (norm + recipe.CLIP_EPSILON), 1.0)
        return jax.tree.map(lambda gradient: gradient * scale, gradients)

    return optax.stateless(clip)


def _make_schedule(task: Task) -> optax.ScalarOrSchedule:
    """The learning rate, or that of each update, counted from 0."""
    if not recipe.follows_schedule(task):
        return task.learning_rate
    rates = recipe.list_learning_rates(task).astype("float32")

    def schedule(step: jax.Array) -> jax.Array:
        return jnp.asarray(rates)[jnp.minimum(step, len(rates) - 1)]

    return schedule
