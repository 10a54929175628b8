"""The head: a linear layer that SGD with momentum trains, written out in NumPy."""

import numpy as np

from backends.task import Task
from backends.values import Head


class LinearHead:
    """Class scores of features (n, d): kernel (d, c) and bias (c,), float32."""

    def __init__(self, task: Task, initial: Head) -> None:
        self.learning_rate, self.momentum = np.float32(task.learning_rate), np.float32(task.momentum)
        self.values = Head(initial.kernel.copy(), initial.bias.copy())
        self.moments = Head(np.zeros_like(initial.kernel), np.zeros_like(initial.bias))

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Class scores (n, c)."""
        return features @ self.values.kernel + self.values.bias

    def loss_and_gradient(self, features: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        """Mean cross-entropy, and its gradient: (softmax - one-hot) / n with respect to the scores (Bishop, "Pattern
        Recognition and Machine Learning", 2006, equation 4.109).
        """
        scores = self.scores(features)
        scores -= scores.max(axis=1, keepdims=True)  # the exponentials cannot overflow, and the softmax stays the same
        exponentials = np.exp(scores)
        sums = exponentials.sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        loss = (np.log(sums[:, 0]) - scores[rows, labels]).mean()
        wrong = exponentials / sums
        wrong[rows, labels] -= 1
        wrong /= np.float32(len(labels))
        return float(loss), Head(features.T @ wrong, wrong.sum(axis=0))

    def step(self, features: np.ndarray, labels: np.ndarray) -> float:
        """Train one step, m = μ m + g and w = w - r m; returns the mean loss before it."""
        loss, gradient = self.loss_and_gradient(features, labels)
        for value, moment, slope in zip(self.values, self.moments, gradient, strict=True):
            moment *= self.momentum
            moment += slope
            value -= self.learning_rate * moment
        return loss
