"""The task's recipe in PyTorch: optimizer, scheduler of the learning rates, and what a loop does with both."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from backends import recipe
from backends.task import Task


class Updates:
    """What follows the loss in each step of a training loop."""

    def __init__(self, task: Task, parameters: Iterable[torch.nn.Parameter], fused: bool) -> None:
        self.task, self.parameters = task, list(parameters)
        self.optimizer = make_optimizer(task, self.parameters, fused)
        self.scheduler = make_scheduler(task, self.optimizer)
        self.accumulated = 0

    def make(self, loss: torch.Tensor) -> None:
        """Compute the gradients of a step's mean loss; in the last of the steps that the task accumulates, update the
        parameters.
        """
        if not self.accumulated:
            self.optimizer.zero_grad()
        steps = self.task.accumulate
        (loss / steps if steps > 1 else loss).backward()
        self.accumulated = (self.accumulated + 1) % steps
        if self.accumulated:
            return
        if self.task.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.task.clip_norm)
        self.optimizer.step()
        if self.scheduler:
            self.scheduler.step()


def make_optimizer(task: Task, parameters: Iterable[torch.Tensor], fused: bool) -> torch.optim.Optimizer:
    """The optimizer of a task's trained parameters, in its first step."""
    shared = {
        "lr": task.learning_rate,
        "weight_decay": task.weight_decay,
        "fused": True if fused else None,  # None: PyTorch chooses between a loop and foreach
    }
    if task.update_rule == "adamw":
        return torch.optim.AdamW(list(parameters), betas=(task.beta1, task.beta2), eps=task.epsilon, **shared)
    return torch.optim.SGD(list(parameters), momentum=task.momentum, nesterov=task.nesterov, **shared)


def make_scheduler(task: Task, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LambdaLR | None:
    """The scheduler, whose `step` comes after the optimizer's; None at a constant rate."""
    if not recipe.follows_schedule(task):
        return None
    factors = (recipe.list_learning_rates(task) / task.learning_rate).tolist()
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factors[min(step, len(factors) - 1)])
