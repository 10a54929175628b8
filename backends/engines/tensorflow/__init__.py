"""The code of TensorFlow that the backends `tensorflow` and `keras` share."""
