"""The tolerances of the proof of sameness, each with its reason."""

from __future__ import annotations

from backends.exported.exported_backbone import is_exported

#: The backend and variant that others are compared with.
REFERENCE = ("pytorch", "default")

# Tolerances are relative to the largest reference value, unless a comment says otherwise.
#: Network inputs of images that are not resized.
INPUTS = 1e-6
#: Resized images: in float32 the frameworks round interpolation weights and order the sum of four terms differently.
#: 32 rounding units (2 ** -23); 1.1e-6 was measured at 96 px. The same for augmented images that are cropped, or whose
#: colours change; 1.3e-6 was measured with factors up to 2.
INPUTS_RESIZED = 4e-6
#: Features and class scores.
FORWARD = 1e-4
#: Loss and gradient of the head in the first step.
FIRST_STEP = 1e-5
#: Normalisation by a batch of few values divides rounding differences by small deviations: with four values a channel,
#: gradients that pass all other checks differ by 1.2e-5.
FIRST_STEP_BATCH_STATS = 1e-4
#: Losses, head and running statistics after some steps.
TRAJECTORY = 1e-4
#: The first gradient of the trained tensors of the backbone, all together. An activation within rounding of a ReLU's
#: kink changes it: with statistics of a batch of four it differs by 1.2e-2 with such an activation, and by 3e-5
#: without.
BACKBONE_GRADIENT = {"frozen": 1e-3, "batch_stats": 5e-2}
#: How far these tensors moved in three steps. PyTorch compared with itself, from a head that differs by 4e-6 as the
#: frameworks' features do, differs by 1.8e-3 (Lite0, all trained, at 64 px); with another momentum, learning rate or
#: tensor the difference is tens of per cent.
BACKBONE_MOVEMENT = 5e-2
#: Losses, head and running statistics after some steps, if the backbone is trained.
TRAINED_BACKBONE = 1e-3
#: How far its tensors moved, and these figures, with AdamW and the batch's statistics: an activation within rounding of
#: a ReLU's kink changes the gradient of a later step, and AdamW makes steps as large as any of what has changed.
#: PyTorch with maps channels last differs from itself by 4.2e-2 and 3.0e-3, in one of 12 seeds by more than without
#: AdamW is allowed, and TensorFlow from it by 8.0e-2 and 8.7e-3 (ResNet-18 with random weights, all trained, batch 8,
#: 32 px, rate 0.001, three updates, a CPU without AVX-512). With half or twice the rate movements differ by 0.5 and 1.
ADAMW_BACKBONE_MOVEMENT, ADAMW_TRAINED_BACKBONE = 0.2, 2e-2
#: The head after the same steps through the input pipeline.
PIPELINE = 1e-5
#: Images that an input pipeline decodes itself, against those that Pillow decoded once for all: grey levels of 255, on
#: average. TensorFlow's `decode_image` takes a faster cosine transform, by which JPEGs differ by 1.0, and its
#: antialiased resizing rounds once where Pillow rounds twice, by which they differ by 0.1.
DECODING = 2.0
#: On several devices, the loss of each process' share of a batch, against that of the same images in a whole batch.
DEVICE_SHARE = 1e-4
#: The heads of the processes, against one another: the frameworks sum a gradient once and hand the sum to all.
DEVICE_HEADS = 1e-6
#: Share of test images whose predictions may differ, if batch norm is `frozen` and only the head is trained.
PREDICTIONS = 0.005
#: All figures of the proof that depend on the forward pass, by precision below fp32. bfloat16 has 8 bits of
#: significand; half a unit of the last bit is 2 ** -9 of a number below 1. Features of a ResNet-18 with random weights
#: differ by 4.4 of these units, gradients of the first step by 5.6, in all frameworks; 16 are allowed. float16 and
#: TensorFloat-32 have 11 bits, and 16 units of 2 ** -11 are allowed, because hardware may truncate instead of rounding;
#: in float16 features differ by 2.0 of these units and gradients by 2.5.
REDUCED_PRECISION = {"bf16": 16 * 2**-9, "fp16": 16 * 2**-11, "tf32": 16 * 2**-11}
#: How many times as far a backbone's forward may differ below fp32. Its weights are rounded, and all frameworks round
#: them alike: features of Lite0's checkpoint at 224 px differ from fp32 by 26.6 units of 2 ** -9 in PyTorch and by 26.6
#: in TensorFlow on a CPU (29 in PyTorch on an H100), with a correlation of 0.99 between the two differences, and from
#: each other by 6.7. With the weights alone rounded, and everything computed in float32, they differ by 37. At 64 and
#: 96 px it is 93 to 117, and gradients differ by 35 to 46. A pretrained network with depthwise convolutions amplifies
#: what a ResNet-18 with random weights does not (there it is 1.5 with the weights alone).
ROUNDING_SENSITIVITY = {"efficientnet_lite0": 8}
#: The same of an exported network, which may have depthwise convolutions, as Lite0 has.
EXPORTED_SENSITIVITY = 8
#: In fp32 the figures of an exported network that depend on the forward pass may differ by so many times what PyTorch
#: itself loses in single precision on the same images, if that is more than the tolerance: deep networks amplify
#: roundings, and other frameworks round the same numbers in another order.
ROUNDINGS = 8.0
#: Where PyTorch itself loses more, nothing can be said, and the tolerance stays what it is.
MOST_ROUNDING = 1e-3
#: The head after some steps of AdamW below fp32, relative to how far it moved. AdamW divides a gradient by its own
#: size, so that one that is nothing but rounding moves its weight by a whole learning rate, either way. In bf16 PyTorch
#: differs from itself by 0.28 after one step of a pretrained Lite0, and by 0.06 to 0.2 after 5 and 20 steps, at rates
#: of 0.001 and 0.01. With half or twice the rate it would be 0.5 and 1.
ADAMW_REDUCED_PRECISION = 0.4
#: The predictions after such a training; 0.033 was measured.
ADAMW_REDUCED_PRECISION_PREDICTIONS = 0.05
#: Share of images whose first class may differ below fp32, among the images of the proof and among the test images.
REDUCED_PRECISION_TOP_1 = 1 / 8
REDUCED_PRECISION_PREDICTIONS = 0.02


def get_forward_tolerance(precision: str, backbone: str, exact: float, rounding: float = 0.0) -> float:
    """The tolerance of a figure that depends on the forward pass: `exact` in fp32, or that of a lower precision.

    Args:
        rounding: what the reference itself loses in single precision, relative to the largest feature; 0 where that is
            not known.
    """
    if precision not in REDUCED_PRECISION:
        return max(exact, ROUNDINGS * rounding) if rounding <= MOST_ROUNDING else exact
    sensitivity = EXPORTED_SENSITIVITY if is_exported(backbone) else ROUNDING_SENSITIVITY.get(backbone, 1)
    return REDUCED_PRECISION[precision] * sensitivity
