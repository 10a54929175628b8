"""The fine-tune in Keras on TensorFlow: `compile` and `fit`, as in Keras' transfer-learning guide."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # overrides the user's Keras settings

from backends.keras.trainer import Keras

BACKEND = Keras()
