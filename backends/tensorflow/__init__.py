"""The fine-tune in TensorFlow: `tf.function` steps with a `GradientTape` over the head, and tf.data."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # overrides the user's Keras settings

from backends.tensorflow.trainer import TensorFlow

BACKEND = TensorFlow()
