"""Shapes: 320 drawn images of 16 x 16 pixels in eight classes, bars of one of four directions, thin or thick."""

import numpy as np

TRAIN, TEST, SIDE, CLASSES = 256, 64, 16, 8


def draw() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images (256, 16, 16, 3) uint8 and labels (256,) int64, and 64 of each for the test; always the same."""
    drawn = np.random.default_rng(0)
    labels = np.arange(TRAIN + TEST) % CLASSES
    offsets = drawn.uniform(-4, 4, len(labels))
    images = np.stack([_draw_bar(label, offset) for label, offset in zip(labels, offsets, strict=True)])
    noisy = np.clip(images[..., None] * 180.0 + drawn.uniform(0, 60, (*images.shape, 3)), 0, 255).astype(np.uint8)
    return noisy[:TRAIN], labels[:TRAIN], noisy[TRAIN:], labels[TRAIN:]


def _draw_bar(label: int, offset: float) -> np.ndarray:
    """A bar as (16, 16) bool: the label's direction, a multiple of 45 degrees, and its width; off the centre."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    angle = np.pi / 4 * (label % 4)
    width = 1.0 if label < 4 else 3.0
    return np.abs(rows * np.cos(angle) - columns * np.sin(angle) - offset) < width
