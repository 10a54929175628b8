"""The tolerances of the proof of sameness, each with its reason."""

from __future__ import annotations

#: The backend and variant that others are compared with.
REFERENCE = ("pytorch", "default")

# Tolerances, relative to the largest reference value unless said otherwise.
INPUTS = 1e-6
#: Resized images: the frameworks round interpolation weights and order the four-term sum differently in float32.
#: 32 rounding units (2 ** -23); 1.1e-6 was seen at 96 px.
INPUTS_RESIZED = 4e-6
FORWARD = 1e-4
FIRST_STEP = 1e-5
#: Normalising by a batch of few values divides rounding differences by small deviations: at four values a channel
#: gradients that are the same by every other check were seen to differ by 1.2e-5.
FIRST_STEP_BATCH_STATS = 1e-4
TRAJECTORY = 1e-4
#: Where something below the head is trained, of its first gradient, over all its tensors together. Activations within
#: rounding of a ReLU's kink give another one: with statistics of a batch of four it differed by 1.2e-2 where one was,
#: and by 3e-5 where none was.
GRADIENT_BELOW = {"frozen": 1e-3, "batch_stats": 5e-2}
#: Of how far these tensors moved in three steps: PyTorch against itself from a head that differs by 4e-6, as the
#: frameworks' features do, is 1.8e-3 off (Lite0, all trained, at 64 px); another momentum, rate or tensor is off by
#: tens of per cent.
MOVED_BELOW = 5e-2
#: Of the head, the losses and the statistics that follow from them.
FOLLOWING_BELOW = 1e-3
PIPELINE = 1e-5
#: Share of test images on which predictions may differ, where batch norm is `frozen` and just the head is trained.
PREDICTIONS = 0.005
#: By precision below fp32, what each figure of the proof that the forward goes into may differ by. bfloat16 has 8 bits
#: of significand, half a unit of the last one is 2 ** -9 of a number below 1: features of a ResNet-18 with random
#: weights were seen to differ by 4.4 of these, gradients of the first step by 5.6, whatever the framework. 16 are
#: allowed. float16 and TensorFloat-32 have 11 bits, and may have 16 of 2 ** -11, for hardware may cut off what it does
#: not round; in float16 features differed by 2.0 of these and gradients by 2.5.
ROUNDED = {"bf16": 16 * 2**-9, "fp16": 16 * 2**-11, "tf32": 16 * 2**-11}
#: Share of images of which the first class may be another, among those of the proof and those of the test set.
ROUNDED_TOP_1 = 1 / 8
ROUNDED_PREDICTIONS = 0.02
