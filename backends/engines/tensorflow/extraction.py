"""The forms of extraction of all backends on TensorFlow."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from backends import folding
from backends.extraction import ExtractionForm, Extractor, choose_batch_size
from backends.task import DATASETS, Task, Variant

#: The forms of extraction: execution, and about how many seconds they take to make. XLA is not among them: on an AMD
#: EPYC it computes a Lite0 at 96 px at a twentieth of the others' rate.
EXTRACTION_FORMS = (("compiled", 2.3), ("compiled_frozen", 2.4))


def list_extraction_forms(task: Task, variant: Variant) -> tuple[ExtractionForm, ...]:
    """The forms of extraction, see `Trainer.list_extraction_forms`. On a GPU there is only the first one."""
    return tuple(
        ExtractionForm(
            name=execution,
            variant=folding.make_extraction_variant(variant, execution=execution),
            batch_size=choose_batch_size(task, variant),
            making_s=making_s,
        )
        for execution, making_s in (EXTRACTION_FORMS if variant.device == "cpu" else EXTRACTION_FORMS[:1])
    )


def make_extractor(features: Callable[[tf.Tensor], tf.Tensor], task: Task, form: ExtractionForm) -> Extractor:
    """Make a form of extraction.

    Args:
        features: computes features (n, d) of raw images, in the form's folding and precision.
    """
    side = DATASETS[task.dataset][0]
    batch = tf.TensorSpec((form.batch_size, side, side, 3), tf.uint8)
    function = tf.function(features, input_signature=[batch])
    if form.variant.execution == "compiled_frozen":
        # Constants: TensorFlow computes all that depends only on weights ahead of time, and lays them out for kernels.
        frozen = convert_variables_to_constants_v2(function.get_concrete_function())
        return lambda images: frozen(tf.constant(images))[0].numpy()
    return lambda images: function(tf.constant(images)).numpy()
