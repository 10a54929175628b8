"""`requires_grad = False` does not freeze batch normalisation in PyTorch; `trainable = False` does in Keras."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import torch

images = np.random.default_rng(0).normal(3, 2, (32, 8, 8, 4)).astype(np.float32)

layer = torch.nn.BatchNorm2d(4)
for parameter in layer.parameters():
    parameter.requires_grad = False
outputs = layer(torch.from_numpy(images).permute(0, 3, 1, 2))
print(f"PyTorch, requires_grad=False: output mean {outputs.mean():z.2f}, running mean {layer.running_mean.mean():.2f}")

layer = keras.layers.BatchNormalization(trainable=False)
outputs = layer(images, training=True)
mean = keras.ops.mean(layer.moving_mean)
print(f"Keras,   trainable=False:     output mean {keras.ops.mean(outputs):.2f}, moving mean {mean:.2f}")
