"""The training step."""

from __future__ import annotations

import numpy as np


class Perceptron:
    """Two dense layers with a ReLU between them, and softmax cross-entropy on top."""

    def __init__(self, inputs: int, hidden: int, classes: int, learning_rate: float = 0.1) -> None:
        draw = np.random.default_rng(0)
        self.first = draw.standard_normal((inputs, hidden)) * np.sqrt(2 / inputs)
        self.second = draw.standard_normal((hidden, classes)) * np.sqrt(2 / hidden)
        self.learning_rate = learning_rate

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        """One step on images (n, inputs) with labels (n,); the mean loss before it."""
        hidden = np.maximum(images @ self.first, 0)
        logits = hidden @ self.second
        logits -= logits.max(axis=1, keepdims=True)
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        loss = -np.log(probabilities[rows, labels]).mean()
        probabilities[rows, labels] -= 1
        error = probabilities / len(labels)
        back = (error @ self.second.T) * (hidden > 0)
        self.second -= self.learning_rate * hidden.T @ error
        self.first -= self.learning_rate * images.T @ back
        return float(loss)
