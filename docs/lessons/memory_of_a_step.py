"""The same steps of Keras on PyTorch, in the main thread and in another: does the C library keep what a step frees?"""

import os
import subprocess
import sys

PROGRAM = """
import resource, sys, threading, time
import keras, numpy as np

frozen = [keras.layers.Conv2D(512, 3, padding="same", trainable=False) for _ in range(4)]
head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)]
model = keras.Sequential([keras.Input((4, 4, 512)), *frozen, *head])
model.compile(keras.optimizers.SGD(0.001), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
images, labels = np.zeros((4, 4, 4, 512), np.float32), np.zeros(4, np.int32)

def train():
    for steps in (20, 50):  # the C library adapts at first
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(steps):
            model.train_on_batch(images, labels)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        milliseconds = 1000 * (time.perf_counter() - began)
    print(f"{sys.argv[1]}: {faults / steps:,.0f} page faults and {milliseconds / steps:.1f} ms in a step")

if sys.argv[1] == "main thread":
    train()
else:
    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
"""

starts = int(sys.argv[1]) if len(sys.argv) > 1 else 3
for where, variables in (("main thread", {}), ("own thread", {}), ("own thread, one arena", {"MALLOC_ARENA_MAX": "1"})):
    for _ in range(starts):
        environment = {**os.environ, "KERAS_BACKEND": "torch", **variables}
        subprocess.run([sys.executable, "-c", PROGRAM, where], env=environment, check=True)
