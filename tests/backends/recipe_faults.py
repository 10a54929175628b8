"""Faults in recipes, for `tests.backends.recipes`. Each is planted in the backend of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from unittest.mock import patch

from tests.backends import augmentation_faults

#: Of the recipe in which faults of clipping are planted.
CLIP_NORM = 1.0


@dataclass(frozen=True)
class Fault:
    """Where it is planted, in which recipe, and the checks that have to name it; `first` is whether the first gradient
    is another, too.
    """

    plant: Callable[[], AbstractContextManager]
    backends: tuple[str, ...]
    recipe: str = "cosine"
    first: bool = False
    named: tuple[str, ...] = ("losses", "trajectory")


@contextmanager
def decoupled_decay() -> Iterator[None]:
    """Keras' own weight decay, which is none of the gradient."""
    from backends import keras_optimizers

    real = keras_optimizers.SGDAsInPyTorch.__init__

    def init(self, learning_rate, momentum, nesterov, weight_decay):
        real(self, learning_rate, momentum, nesterov, 0.0)
        self.weight_decay = weight_decay

    with patch.object(keras_optimizers.SGDAsInPyTorch, "__init__", init):
        yield


@contextmanager
def rate_inside_momentum() -> Iterator[None]:
    """Keras' own momentum, with the decay where PyTorch has it."""
    import keras

    from backends import keras_optimizers

    def update_step(self, gradient, variable, learning_rate):
        decayed = gradient + self.share_added * keras.ops.convert_to_tensor(variable)
        keras.optimizers.SGD.update_step(self, decayed, variable, learning_rate)

    with patch.object(keras_optimizers.SGDAsInPyTorch, "update_step", update_step):
        yield


@contextmanager
def late_schedule() -> Iterator[None]:
    """Steps are counted from 1."""
    from backends import recipe

    real = recipe.list_learning_rates
    with patch.object(recipe, "list_learning_rates", lambda task: real(task)[1:]):
        yield


@contextmanager
def scheduled_by_epoch() -> Iterator[None]:
    """Lightning's default: the scheduler makes a step when an epoch ends."""
    from backends.lightning.model import FineTune

    def configure(self):
        return {"optimizer": self.optimizer, "lr_scheduler": self.scheduler}

    with patch.object(FineTune, "configure_optimizers", configure):
        yield


@contextmanager
def coupled_decay() -> Iterator[None]:
    """The decay is part of AdamW's gradient, as it is of Adam's in PyTorch."""
    import keras

    from backends import keras_optimizers

    real = keras_optimizers.AdamWAsInPyTorch.update_step

    def update_step(self, gradient, variable, learning_rate):
        real(self, gradient + 5.0 * keras.ops.convert_to_tensor(variable), variable, learning_rate)

    with (
        patch.object(keras_optimizers.AdamWAsInPyTorch, "update_step", update_step),
        patch.object(keras_optimizers.AdamWAsInPyTorch, "_apply_weight_decay", lambda self, variables: None),
    ):
        yield


@contextmanager
def coupled_decay_in_optax() -> Iterator[None]:
    """The same in Optax."""
    import optax

    def adamw(rate, beta1, beta2, epsilon, weight_decay):
        return optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(rate, beta1, beta2, epsilon))

    with patch.object(optax, "adamw", adamw):
        yield


@contextmanager
def epsilon_of_keras() -> Iterator[None]:
    """Keras' own update, whose epsilon is added to the root of the biased moment."""
    import keras

    from backends import keras_optimizers

    with patch.object(keras_optimizers.AdamWAsInPyTorch, "update_step", keras.optimizers.AdamW.update_step):
        yield


@contextmanager
def epsilon_in_the_root() -> Iterator[None]:
    """Optax' `eps_root` in place of `eps`."""
    import optax

    real = optax.adamw

    def adamw(rate, beta1, beta2, epsilon, weight_decay):
        return real(rate, beta1, beta2, 0.0, eps_root=epsilon, weight_decay=weight_decay)

    with patch.object(optax, "adamw", adamw):
        yield


#: Of ten classes: the share that is spread over all of them alike, so that the other nine have all of what is given.
MORE = 10 / 9


@contextmanager
def others_alone() -> Iterator[None]:
    """In Keras the share is spread over the other classes alone."""
    import keras

    real = keras.losses.categorical_crossentropy

    def lose(one_hot, logits, *, from_logits, label_smoothing):
        return real(one_hot, logits, from_logits=from_logits, label_smoothing=label_smoothing * MORE)

    with patch.object(keras.losses, "categorical_crossentropy", lose):
        yield


@contextmanager
def others_alone_in_optax() -> Iterator[None]:
    """The same in Optax."""
    import optax

    real = optax.smooth_labels
    with patch.object(optax, "smooth_labels", lambda labels, share: real(labels, share * MORE)):
        yield


@contextmanager
def clipping_by_tensor() -> Iterator[None]:
    """On Keras each tensor has a norm of its own."""
    from backends.keras_optimizers import ClippingAsInPyTorch

    real = ClippingAsInPyTorch._clip_gradients

    def clip(self, grads):
        return [clipped for gradient in grads for clipped in real(self, [gradient])]

    with patch.object(ClippingAsInPyTorch, "_clip_gradients", clip):
        yield


@contextmanager
def clipping_after_decay() -> Iterator[None]:
    """On Keras the norm is that of gradients with SGD's decay."""
    from backends.keras_optimizers import ClippingAsInPyTorch

    real = ClippingAsInPyTorch._clip_gradients

    def clip(self, grads):
        decays = [self.share_added * variable for variable in self._trainable_variables]
        clipped = real(self, [gradient + decay for gradient, decay in zip(grads, decays, strict=True)])
        return [gradient - decay for gradient, decay in zip(clipped, decays, strict=True)]

    with patch.object(ClippingAsInPyTorch, "_clip_gradients", clip):
        yield


@contextmanager
def clipping_by_tensor_in_optax() -> Iterator[None]:
    """The same in Optax."""
    import jax
    import optax

    from backends.jax import optimizer

    real = optimizer._clip

    def clip(clip_norm):
        one = real(clip_norm)
        return optax.stateless(lambda tree, _: jax.tree.map(lambda leaf: one.update(leaf, optax.EmptyState())[0], tree))

    with patch.object(optimizer, "_clip", clip):
        yield


@contextmanager
def clipping_after_decay_in_optax() -> Iterator[None]:
    """The same in Optax."""
    import optax

    from backends.jax import optimizer

    real = optax.add_decayed_weights

    def decay(share):
        return optax.chain(real(share), optimizer._clip(CLIP_NORM))

    with patch.object(optax, "add_decayed_weights", decay):
        yield


@contextmanager
def summed() -> Iterator[None]:
    """On Keras gradients are added up, and not averaged."""
    from backends.keras_optimizers import ClippingAsInPyTorch

    real = ClippingAsInPyTorch._clip_gradients

    def clip(self, grads):
        return real(self, [gradient * self.gradient_accumulation_steps for gradient in grads])

    with patch.object(ClippingAsInPyTorch, "_clip_gradients", clip):
        yield


@contextmanager
def scheduled_by_step() -> Iterator[None]:
    """Keras' own schedule: it counts steps, and not updates."""
    from backends.keras_optimizers import LearningRates

    real = LearningRates.__init__
    with patch.object(LearningRates, "__init__", lambda self, rates, keep, accumulate: real(self, rates, keep, 1)):
        yield


@contextmanager
def summed_in_optax() -> Iterator[None]:
    """Optax adds gradients up, too."""
    import optax

    with patch.object(optax, "MultiSteps", partial(optax.MultiSteps, use_grad_mean=False)):
        yield


@contextmanager
def late_update() -> Iterator[None]:
    """In Optax the first update is made a step late, and so are all others."""
    import jax.numpy as jnp
    import optax

    real = optax.MultiSteps

    def accumulate(rule, steps):
        return real(rule, lambda update: jnp.where(update == 0, steps + 1, steps))

    with patch.object(optax, "MultiSteps", accumulate):
        yield


@contextmanager
def updated_at_the_end() -> Iterator[None]:
    """Lightning's own update of what is left over."""
    from pytorch_lightning import LightningModule

    from backends.lightning.model import FineTune

    with patch.object(FineTune, "optimizer_step", LightningModule.optimizer_step):
        yield


ON_KERAS = ("tensorflow", "keras", "keras-torch", "keras-jax")
#: The backends that clip by code of this project.
OWN_CLIPPING = (*ON_KERAS, "jax")
FAULTS = MappingProxyType(
    {
        "decoupled decay": Fault(decoupled_decay, ON_KERAS),
        "the rate inside the momentum": Fault(rate_inside_momentum, ON_KERAS),
        "a schedule that is late": Fault(late_schedule, ("keras", "jax", "lightning")),
        "smoothing of the other classes": Fault(others_alone, ("keras", "keras-jax"), "smoothing", first=True),
        "Optax, smoothing of the other classes": Fault(others_alone_in_optax, ("jax",), "smoothing", first=True),
        "coupled decay of AdamW": Fault(coupled_decay, ("keras", "keras-torch"), "adamw"),
        "Optax, coupled decay of AdamW": Fault(coupled_decay_in_optax, ("jax",), "adamw"),
        "Keras' own epsilon": Fault(epsilon_of_keras, ON_KERAS, "adamw"),
        "epsilon in the root": Fault(epsilon_in_the_root, ("jax",), "adamw"),
        "clipping by tensor": Fault(clipping_by_tensor, ("keras", "keras-jax"), "accumulation"),
        "clipping after decay": Fault(clipping_after_decay, ("tensorflow", "keras-torch"), "accumulation"),
        "Optax, clipping by tensor": Fault(clipping_by_tensor_in_optax, ("jax",), "accumulation"),
        "Optax, clipping after decay": Fault(clipping_after_decay_in_optax, ("jax",), "accumulation"),
        "a sum in place of the mean": Fault(summed, ("tensorflow", "keras-torch"), "accumulation"),
        "a schedule by step": Fault(scheduled_by_step, ("keras", "keras-jax"), "accumulation"),
        "Optax, a sum in place of the mean": Fault(summed_in_optax, ("jax",), "accumulation"),
        "Optax, an update that is late": Fault(late_update, ("jax",), "accumulation"),
        "an update at the end": Fault(updated_at_the_end, ("lightning",), "accumulation", named=("pipeline order",)),
        "a schedule by epoch": Fault(scheduled_by_epoch, ("lightning",)),
        **{
            title: Fault(plant, having, "augmented", named=named)
            for title, (plant, having, named) in augmentation_faults.FAULTS.items()
        },
    }
)
