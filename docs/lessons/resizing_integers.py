"""Keras' `Resizing` rounds to integers when it is given integers."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np

images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
resize = keras.layers.Resizing(96, 96, interpolation="bilinear")
of_integers = np.asarray(resize(images), np.float32)
of_floats = np.asarray(resize(images.astype(np.float32)))
print(f"largest difference: {np.abs(of_integers - of_floats).max():.2f} grey levels")
