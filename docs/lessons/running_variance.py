"""Keras moves the running variance by the biased batch variance, PyTorch by the unbiased one."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import torch

values = np.array([0, 1, 2, 3], np.float32).reshape(4, 1, 1, 1)

of_pytorch = torch.nn.BatchNorm2d(1, momentum=1.0)
of_pytorch(torch.from_numpy(values))
of_keras = keras.layers.BatchNormalization(momentum=0.0)
of_keras(values, training=True)
print(f"running variance of 0, 1, 2, 3: PyTorch {of_pytorch.running_var.item():.4f}, ", end="")
print(f"Keras {float(of_keras.moving_variance[0]):.4f}")
