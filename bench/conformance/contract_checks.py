"""The checks of the contract: each returns what is wrong with a backend, or None."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from numbers import Real
from typing import Any, get_type_hints

import numpy as np

import backends
from backends.backbones import BACKBONES
from backends.base import Backend
from backends.convolutions import list_convolutions
from backends.kernels import Addition, Convolutions, Gemm, SmallOperations
from backends.knob_table import KNOBS
from backends.knobs import check_variant
from backends.task import Variant
from backends.values import DeviceMemory, Event, Group, Head, Resolved, UnsupportedVariant
from bench.conformance import contract_facts
from bench.conformance.checked_backend import CheckedBackend
from bench.conformance.small_tasks import VARIANT
from bench.parity.checks import compute_difference
from bench.parity.tolerances import FORWARD
from bench.worker.extraction.feature_extraction import extract_in_batches

#: Seconds of making from which a form of extraction is left out here: a compiler's.
LONG_MAKING = 10.0


def check_types(checked: CheckedBackend) -> str | None:
    """Check types, shapes and dtypes of all that a trainer returns."""
    return next(_find_wrong_types(checked), None)


def _find_wrong_types(checked: CheckedBackend) -> Iterator[str]:
    trainer, task, inputs = checked.trainer, checked.task, checked.inputs
    images, labels = inputs.images[:4], inputs.labels[:4]
    side, features, classes = task.image_size, task.network.features, task.classes
    trainer.reset()
    expected: dict[str, tuple[object, tuple[int, ...]]] = {
        "preprocess": (trainer.preprocess(images), (4, side, side, 3)),
        "features": (trainer.features(images), (4, features)),
        "logits": (trainer.logits(images), (4, classes)),
        "head_logits": (trainer.head_logits(np.zeros((4, features), np.float32)), (4, classes)),
    }
    loss, gradient = trainer.loss_and_gradient(images, labels)
    for name, head in (("head()", trainer.head()), ("the gradient", gradient)):
        if not isinstance(head, Head):
            yield f"{name} is a {type(head).__name__}, not a Head"
            return
        expected[f"{name}.kernel"] = head.kernel, (features, classes)
        expected[f"{name}.bias"] = head.bias, (classes,)
    parameters = trainer.parameters()
    if list(parameters) and set(parameters) != set(inputs.checkpoint):
        missing = sorted(set(inputs.checkpoint) ^ set(parameters))
        yield f"parameters() has not the checkpoint's names: {missing[0]}"
        return
    expected |= {f"parameters()[{n!r}]": (parameters.get(n), t.shape) for n, t in inputs.checkpoint.items()}
    for name, (value, shape) in expected.items():
        if (found := _describe_array(value)) != (wanted := f"{shape} float32"):
            yield f"{name} is {found}, not {wanted}"
    training = trainer.start(inputs.images, inputs.labels, inputs.order)
    for name, number in (
        ("step", trainer.step(images, labels)),
        ("loss_and_gradient", loss),
        ("advance", training.advance(2)),
    ):
        if not isinstance(number, Real):
            yield f"the loss of {name} is a {type(number).__name__}, not a float"
        elif not np.isfinite(float(number)):
            yield f"the loss of {name} is {number}"
    training.close()
    before = trainer.head()
    copied = before.kernel.copy()
    trainer.step(images, labels)
    if not np.array_equal(before.kernel, copied):
        yield "the arrays of head() change with the next step: return copies"
    yield from _find_wrong_descriptions(checked)


def _find_wrong_descriptions(checked: CheckedBackend) -> Iterator[str]:
    resolved = checked.trainer.resolved
    if not isinstance(resolved, Resolved):
        yield f"resolved is a {type(resolved).__name__}, not a Resolved"
        return
    hints = get_type_hints(Resolved)
    for field in fields(Resolved):
        value = getattr(resolved, field.name)
        kind = hints[field.name] if hints[field.name] in (str, int) else Mapping
        if not isinstance(value, kind):
            yield f"resolved.{field.name} is a {type(value).__name__}, not a {kind.__name__}"
        elif isinstance(value, Mapping) and not all(isinstance(x, str) for pair in value.items() for x in pair):
            yield f"resolved.{field.name} has something else than texts"
    if resolved.intra_op_threads != 1:
        yield f"resolved.intra_op_threads is {resolved.intra_op_threads}, and the variant has 1 thread"
    built = checked.backend.describe_build()
    if not isinstance(built, dict) or not all(isinstance(x, str) for pair in built.items() for x in pair):
        yield "describe_build returns something else than texts by name"
    checked.trainer.reset_device_memory()
    memory = checked.trainer.device_memory()
    if memory is not None and not isinstance(memory, DeviceMemory):
        yield f"device_memory returns a {type(memory).__name__}, not a DeviceMemory or None"


def _describe_array(value: object) -> str:
    if not isinstance(value, np.ndarray):
        return f"a {type(value).__name__}"
    return f"{value.shape} {value.dtype}"


def check_reset(checked: CheckedBackend) -> str | None:
    """Check what a step moves, and what a reset and a gradient leave."""
    found = contract_facts.describe_reset(checked.trainer, checked.inputs)
    return _find_false(
        found,
        {
            "a step moves the head": "three steps do not move the head",
            "reset restores the head": "the head after `reset` is not the initial one",
            "reset restores the backbone": "the backbone after `reset` is not the one before",
            "reset forgets the momentum": "the same three steps after `reset` have other losses",
            "a gradient changes nothing": "`loss_and_gradient` changes the head",
        },
    )


def check_batches(checked: CheckedBackend) -> str | None:
    """Check partial batches through the input pipeline."""
    return _find_wrong_batches(contract_facts.describe_partial_batches(checked.trainer, checked.inputs), 1e-6)


def _find_wrong_batches(found: Mapping[str, Any], tolerance: float) -> str | None:
    for last in ("kept", "dropped"):
        case = f"with the last partial batch {last}, ten images in batches of four, twice"
        if not found[f"{last}: the head is the same"]:
            return f"{case}: the head differs from the one after the same steps one by one"
        mean, singly = found[f"{last}: mean loss"], found[f"{last}: mean loss, step by step"]
        if abs(mean - singly) > tolerance * abs(singly):
            return f"{case}: the mean loss is {mean:.6g}, and that of the images {singly:.6g}"
        if (raised := found[f"{last}: one step more"]) != "StopIteration":
            return f"{case}: one step more raises {raised}, not StopIteration"
    return None


def check_training(checked: CheckedBackend) -> str | None:
    """Check training that is continued, used up and closed."""
    found = contract_facts.describe_pauses(checked.trainer, checked.inputs)
    if not found["rests between calls"]:
        return "the head moves while nobody calls `advance`"
    for when in ("more steps than are left", "after close"):
        if found[when] != "StopIteration":
            return f"{when}: `advance` raises {found[when]}, not StopIteration"
    return None


def check_errors(checked: CheckedBackend) -> str | None:
    """Check that errors in training are raised, and that what is not possible is refused."""
    found = contract_facts.describe_wrong_labels(checked.trainer, checked.inputs)["a label that is not a class"]
    if found in ("nothing", "StopIteration"):
        return f"a label that is not a class raises {found}"
    values = {value for of_one in KNOBS["execution"].values.values() for value in of_one}
    refused = [VARIANT.model_copy(update={"execution": v}) for v in sorted(values)]
    refused.append(VARIANT.model_copy(update={"precision": "fp16"}))
    for variant in [one for one in refused if _is_refused(checked, one)]:
        raised = contract_facts.name_error(checked.build, checked.task, variant)
        if raised != "UnsupportedVariant":
            knob = "execution" if variant.execution else "precision"
            case = f"`build` with {knob} {getattr(variant, knob)!r}, which it does not have on a CPU,"
            return f"{case} raises {raised}, not UnsupportedVariant"
    if not backends.REGISTRY[checked.name].several_devices:
        raised = contract_facts.name_error(checked.backend.join, Group(0, 2, "127.0.0.1:1", 0), VARIANT)
        if raised != "UnsupportedVariant":
            return f"`join` raises {raised}, not UnsupportedVariant, and the entry has no several_devices"
    return None


def _is_refused(checked: CheckedBackend, variant: Variant) -> bool:
    try:
        check_variant(checked.name, variant, checked.task)
    except UnsupportedVariant:
        return True
    return False


def check_device_batches(checked: CheckedBackend) -> str | None:
    """Check training on batches that are on the device."""
    found = contract_facts.describe_device_batches(checked.trainer, checked.inputs)
    return _find_false(
        found,
        {
            "on the device: the same loss": "the loss of three steps differs from that through the input pipeline",
            "on the device: the same head": "the head after three steps differs from that through the input pipeline",
        },
    )


def check_features(checked: CheckedBackend) -> str | None:
    """Check the forms of extraction, and the training of the head on features."""
    trainer, inputs = checked.trainer, checked.inputs
    trainer.reset()
    reference = trainer.features(inputs.images)
    forms = trainer.list_extraction_forms()
    if not forms:
        return "list_extraction_forms is empty"
    for form in forms:
        if form.making_s < LONG_MAKING:
            found = extract_in_batches(trainer.make_extractor(form), form, inputs.images, checked.task)
            if (difference := compute_difference(found, reference)) > FORWARD:
                return f"the form {form.name!r} differs from `features` by {difference:.2g}, more than {FORWARD:g}"
    facts = contract_facts.describe_head_training(trainer, inputs)
    if not facts["logits"]:
        return "`head_logits` of the features differs from `logits` of the images"
    wrong = _find_wrong_batches(facts, 1e-5)
    return wrong and f"`start_on_features` {wrong}"


def check_kernels(checked: CheckedBackend) -> str | None:
    """Check that kernels run, and that the profiler returns events."""
    layer = list_convolutions(BACKBONES["resnet18"], 32)[0]
    kernels = (Gemm(64, "fp32"), Addition(4096), SmallOperations(20), Convolutions(((layer, "forward"),), 2))
    assert checked.trainer  # a kernel is asked for after a trainer was built
    for kernel in kernels:
        run: Callable[[int], object] = checked.backend.kernel(kernel, VARIANT)
        run(2)
    with tempfile.TemporaryDirectory() as folder:
        checked.calls.folder = folder
        try:
            events = checked.backend.profile(lambda: run(3), folder)
        finally:
            checked.calls.folder = None
    if not isinstance(events, list) or not events or not all(isinstance(event, Event) for event in events):
        return "`profile` does not return a list of events"
    return None


def check_backend_object(backend: object, name: str) -> str | None:
    """Check what stands as `BACKEND` in a backend's module."""
    if not isinstance(backend, Backend):
        return f"BACKEND is a {type(backend).__name__}, and not a backends.base.Backend"
    return None if backend.name == name else f"BACKEND.name is {backend.name!r}, and the entry's {name!r}"


def _find_false(found: Mapping[str, Any], problems: Mapping[str, str]) -> str | None:
    return next((problem for fact, problem in problems.items() if not found[fact]), None)
