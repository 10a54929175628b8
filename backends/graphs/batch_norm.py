"""Batch normalisations that treat running statistics as PyTorch does."""

from __future__ import annotations

import keras
from keras import ops


class _ReplacementNorm(keras.layers.BatchNormalization):
    """A batch normalisation that replaces Keras' own in a graph."""

    @classmethod
    def replace_layer(cls, layer: keras.Layer) -> keras.Layer:
        """A copy of `layer` for `clone_model`: normalisations become this class, other layers keep theirs."""
        kind = cls if isinstance(layer, keras.layers.BatchNormalization) else layer.__class__
        return kind.from_config(layer.get_config())


class FixedStatistics(_ReplacementNorm):
    """Normalises by the running statistics, as in PyTorch's eval mode, even where its scale and shift are trained.

    For this, Keras' guide to transfer learning calls the backbone with `training=False`. That is not enough: in Keras
    3.15 a functional model that is called with `training=True`, as `fit` does, passes this to all its layers, and a
    trainable normalisation then uses the batch's statistics and moves the running ones.
    """

    def call(self, inputs, training=None, mask=None):
        """As `BatchNormalization.call` in inference mode; inputs (n, h, w, c)."""
        return super().call(inputs, training=False, mask=mask)


class BatchStatistics(_ReplacementNorm):
    """Normalises by the batch, and moves the running variance by the *unbiased* batch variance.

    Keras stores the biased one. Over n values they differ by n / (n - 1): a factor 4/3 in the last stage of a
    ResNet-18 at 32 px and batch 4. (torch.nn.BatchNorm2d: "At train time in the forward pass, the variance is
    calculated via the biased estimator […]; the value stored in the moving average […] is unbiased".)
    """

    def call(self, inputs, training=None, mask=None):
        """As `BatchNormalization.call` in training mode; inputs (n, h, w, c)."""
        if not training:
            return super().call(inputs, training=training, mask=mask)
        mean, variance = ops.moments(inputs, axes=[0, 1, 2])
        values = ops.cast(ops.prod(ops.shape(inputs)[:3]), variance.dtype)
        unbiased = variance * (values / (values - 1))
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + unbiased * (1 - self.momentum))
        return ops.batch_normalization(
            inputs, mean, variance, axis=-1, offset=self.beta, scale=self.gamma, epsilon=self.epsilon
        )
