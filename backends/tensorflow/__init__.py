"""The fine-tune in TensorFlow: `tf.function` steps with a `GradientTape` over the head alone, and tf.data."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # the graph's engine, whatever the user's Keras settings say

from backends.tensorflow.trainer import TensorFlow

BACKEND = TensorFlow()
