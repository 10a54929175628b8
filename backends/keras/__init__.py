"""The fine-tune in Keras on TensorFlow: `compile` and `fit`, as Keras' transfer-learning guide writes it."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # this backend's engine, whatever the user's Keras settings say

from backends.keras.trainer import Keras

BACKEND = Keras()
