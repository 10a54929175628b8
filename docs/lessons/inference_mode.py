"""In Keras, `training=False` does not last through `fit`, and `predict` is always in inference mode."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np

images = np.random.default_rng(0).normal(3, 2, (32, 4)).astype(np.float32)

inputs = keras.Input((4,))
layer = keras.layers.BatchNormalization()
model = keras.Model(inputs, keras.layers.Dense(1)(layer(inputs, training=False)))
model.compile("sgd", "mse")
model.fit(images, np.zeros(32), verbose=0)
print(f"called with training=False, moving mean after fit: {np.mean(layer.moving_mean):.2f}")

inputs = keras.Input((4,))
layer = keras.layers.BatchNormalization()
model = keras.Model(inputs, layer(inputs, training=True))
print(f"called with training=True, output mean: of the model {np.mean(model(images, training=True)):.2f}, ", end="")
print(f"of predict {model.predict(images, verbose=0).mean():.2f}")
