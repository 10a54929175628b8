"""The task's recipe in Keras' optimizers, for the backends that train with them.

Where Keras' own optimizer computes what PyTorch's does, it is used as it is; where it does not, a subclass puts right
what differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from backends import recipe
from backends.task import Task

#: The gradients of all processes that train together, added up, from those of this process.
SumGradients = Callable[[Sequence[Any]], Sequence[Any]]


def make_optimizer(
    task: Task,
    keep: Callable[[np.ndarray], Any] = lambda rates: rates,
    sum_gradients: SumGradients = lambda gradients: gradients,
) -> keras.optimizers.Optimizer:
    """The optimizer of a task.

    Args:
        keep: puts the learning rates of all updates where the engine looks one up in a step.
        sum_gradients: needed where the optimizer itself exchanges gradients, which it does after clipping.
    """
    follows_schedule = recipe.follows_schedule(task)
    rates = recipe.list_learning_rates(task)
    rate = LearningRates(rates, keep, task.accumulate) if follows_schedule else task.learning_rate
    others = {"gradient_accumulation_steps": task.accumulate} if task.accumulate > 1 else {}
    optimizer: ClippingAsInPyTorch
    if task.update_rule == "adamw":
        optimizer = AdamWAsInPyTorch(rate, task.beta1, task.beta2, task.epsilon, task.weight_decay, **others)
    elif follows_schedule or task.weight_decay or task.clip_norm:
        optimizer = SGDAsInPyTorch(rate, task.momentum, task.nesterov, task.weight_decay, **others)
    else:
        return keras.optimizers.SGD(rate, task.momentum, task.nesterov, **others)
    optimizer.clip_norm, optimizer.sum_gradients = task.clip_norm, sum_gradients
    return optimizer


class LearningRates(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of each update, counted from 0; that of the last one holds for all further ones. Keras counts
    steps here, even where several make an update.
    """

    def __init__(self, rates: np.ndarray, keep: Callable[[np.ndarray], Any], accumulate: int) -> None:
        super().__init__()
        self.last, self.rates, self.accumulate = len(rates) - 1, keep(rates.astype(np.float32)), accumulate

    def __call__(self, step: Any) -> Any:
        """The rate of the update of a step."""
        update = ops.floor_divide(step, self.accumulate) if self.accumulate > 1 else step
        return ops.take(self.rates, ops.minimum(update, self.last))


class ClippingAsInPyTorch(keras.optimizers.Optimizer):
    """Clipping as `torch.nn.utils.clip_grad_norm_` defines it; Keras' own adds nothing to the norm."""

    clip_norm: float | None = None
    sum_gradients: SumGradients

    def _clip_gradients(self, grads: Sequence[Any]) -> Sequence[Any]:
        """Scale gradients together; Keras calls this with those that it makes an update of."""
        if not self.clip_norm:
            return grads
        norm = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in self.sum_gradients(grads)))
        scale = ops.minimum(self.clip_norm / (norm + recipe.CLIP_EPSILON), 1.0)
        return [gradient * scale for gradient in grads]


class SGDAsInPyTorch(ClippingAsInPyTorch, keras.optimizers.SGD):
    """SGD as `torch.optim.SGD` defines it, where Keras' own is another algorithm.

    Under a schedule Keras' is: it collects gradients that are multiplied by the rate of their own step, and PyTorch
    multiplies the collected ones by the rate of the step that they are used in. Keras' weight decay shrinks the tensors
    beside the update, and PyTorch's is a part of the gradient, and so of the momentum.
    """

    def __init__(self, learning_rate: Any, momentum: float, nesterov: bool, weight_decay: float, **others: Any) -> None:
        super().__init__(learning_rate, momentum, nesterov, **others)
        self.share_added = weight_decay  # not Keras' `weight_decay`

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Update a variable by its gradient."""
        update = ops.cast(gradient, variable.dtype)
        if self.share_added:
            update = update + self.share_added * ops.convert_to_tensor(variable)
        if self.momentum:
            kept = self.momentums[self._get_variable_index(variable)]
            moment = self.momentum * ops.convert_to_tensor(kept) + update
            self.assign(kept, moment)
            update = update + self.momentum * moment if self.nesterov else moment
        self.assign_sub(variable, update * ops.cast(learning_rate, variable.dtype))


class AdamWAsInPyTorch(ClippingAsInPyTorch, keras.optimizers.AdamW):
    """AdamW as `torch.optim.AdamW` defines it: epsilon is added to the root of the second moment without its bias
    (Kingma and Ba, "Adam", 2015, algorithm 1). Keras adds it to the root of the biased one, as that paper proposes
    before its section 2.1, which is another epsilon in every step. The decay is Keras' own, the same as PyTorch's.
    """

    def __init__(
        self, learning_rate: Any, beta1: float, beta2: float, epsilon: float, weight_decay: float, **others: Any
    ) -> None:
        super().__init__(learning_rate, weight_decay, beta1, beta2, epsilon, **others)
        self.weight_decay = weight_decay or None  # with 0 Keras would multiply by 1

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Update a variable by its gradient."""
        gradient = ops.cast(gradient, variable.dtype)
        index = self._get_variable_index(variable)
        first, second = (
            beta * ops.convert_to_tensor(kept[index]) + (1 - beta) * value
            for beta, kept, value in (
                (self.beta_1, self._momentums, gradient),
                (self.beta_2, self._velocities, ops.square(gradient)),
            )
        )
        self.assign(self._momentums[index], first)
        self.assign(self._velocities[index], second)
        root = ops.sqrt(second / self._unbias(self.beta_2, variable)) + self.epsilon
        step = ops.cast(learning_rate, variable.dtype) / self._unbias(self.beta_1, variable)
        self.assign_sub(variable, step * first / root)

    def _unbias(self, beta: float, variable: keras.Variable) -> Any:
        """1 - beta ** t in step t, counted from 1; not as a difference, which rounds to few digits in float32."""
        step = ops.cast(self.iterations + 1, variable.dtype)
        return -ops.expm1(step * (math.log(beta) if beta else -math.inf))
