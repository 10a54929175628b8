"""TensorFlow as an engine: what the backends `tensorflow` and `keras` share."""
