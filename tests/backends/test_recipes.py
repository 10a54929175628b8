"""Every backend follows a recipe as PyTorch does, over the whole of its schedule; what it can get wrong is found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from backends import REGISTRY, BackendEntry, recipe
from backends.knobs import check_variant
from backends.task import Task, Variant
from backends.values import UnsupportedVariant
from bench.parity.sameness_proof import prove
from tests.backends.recipe_faults import FAULTS, OWN_CLIPPING
from tests.backends.recipes import (
    RECIPES,
    SMALL_GRADIENTS,
    SMALL_NORM,
    STEPS,
    VARIANTS,
    is_cached,
)
from tests.backends.sessions import OTHERS, OWN, REFERENCE, make_case
from tests.bench.processes import PROJECT

Gathered = Callable[[str, str], dict[str, np.ndarray]]


def gather(backend: str, folder: Path) -> Path:
    """Run a backend's process, which leaves its evidence in a folder."""
    folder.mkdir()
    command = [sys.executable, "-m", "tests.backends.recipes", backend, str(folder)]
    settings = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        # XLA compiles the frozen forward for each of the recipes.
        "JAX_COMPILATION_CACHE_DIR": str(folder.with_name("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        **REGISTRY[backend].environment,
    }
    done = subprocess.run(command, cwd=PROJECT, env=settings, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "lr_scheduler" not in done.stderr, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def gathered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gathered]:
    """The evidence of a backend by title; the processes of all that the tests need run two at a time."""
    own = [item for item in request.session.items if item.path == request.path and "gathered" in item.fixturenames]
    names = dict.fromkeys([REFERENCE, *(item.callspec.params["backend"] for item in own)])
    folder = tmp_path_factory.mktemp("recipes")
    with ThreadPoolExecutor(2) as pool:
        running = {name: pool.submit(gather, name, folder / name) for name in names}

        def read(backend: str, title: str) -> dict[str, np.ndarray]:
            with np.load(running[backend].result() / f"{title}.npz") as arrays:
                return dict(arrays)

        yield read
        pool.shutdown(cancel_futures=True)


def check(gathered: Gathered, backend: str, title: str, name: str, cached: bool = False) -> None:
    proof = prove(gathered(backend, title), gathered(REFERENCE, name), RECIPES[name], None, cached=cached)
    assert proof.status == "proven", proof.reason


@pytest.mark.thorough
@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_followed_as_in_pytorch_over_its_whole_schedule(gathered, backend, name):
    steps = 3 * RECIPES[name].accumulate if RECIPES[name].trained else STEPS
    assert gathered(REFERENCE, name)["losses"].shape == (steps,)
    check(gathered, backend, name, name)


@pytest.mark.thorough
@pytest.mark.parametrize("backend", [make_case(name) for name in OWN])
@pytest.mark.parametrize("name", [name for name, task in RECIPES.items() if is_cached(task)])
def test_a_recipe_is_followed_on_cached_features_too(gathered, backend, name):
    check(gathered, backend, f"{name}, cached", name, cached=True)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("backend", "title"),
    [make_case(name, name, title) for title, (_, having, _) in VARIANTS.items() for name in having],
)
def test_a_recipe_is_followed_by_another_way_of_computing_the_update(gathered, backend, title):
    check(gathered, backend, title, VARIANTS[title][0])


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("backend", "title"), [make_case(name, name, title) for title, fault in FAULTS.items() for name in fault.backends]
)
def test_a_fault_in_a_recipe_is_found(gathered, backend, title):
    name = FAULTS[title].recipe
    proof = prove(gathered(backend, title), gathered(REFERENCE, name), RECIPES[name], None)
    failed = [one.name for one in proof.checks if not one.passed]
    assert set(FAULTS[title].named) <= set(failed)
    assert ("first gradient" in failed) == FAULTS[title].first, "nothing else is wrong"


@pytest.mark.thorough
@pytest.mark.parametrize("backend", [make_case(name) for name in OWN_CLIPPING])
def test_small_gradients_are_clipped_by_what_pytorch_adds_to_their_norm(gathered, backend):
    clipped = gathered(backend, "small gradients")
    for name, gradient in zip(("kernel", "bias"), SMALL_GRADIENTS, strict=True):
        np.testing.assert_allclose(clipped[name], 0.25 * gradient, rtol=1e-6)


@pytest.mark.parametrize("norm", [0.0, 1e-6, 4e-7, 3.0])
def test_pytorch_scales_all_gradients_together_down_to_the_norm(norm):
    torch = pytest.importorskip("torch")
    from backends.pytorch.optimizer import Updates

    parameters = [torch.nn.Parameter(torch.ones(1, 2)), torch.nn.Parameter(torch.ones(1))]
    task = make_task(clip_norm=SMALL_NORM, momentum=0.0, weight_decay=0.25, learning_rate=1.0)
    shares = [torch.from_numpy(gradient).double() / 1e-6 * norm for gradient in SMALL_GRADIENTS]
    for parameter in parameters:
        parameter.data = parameter.data.double()
    Updates(task, parameters, fused=False).make(
        sum((parameter * share).sum() for parameter, share in zip(parameters, shares, strict=True))
    )
    scale = min(1.0, SMALL_NORM / (norm + 1e-6))
    for parameter, share in zip(parameters, shares, strict=True):
        np.testing.assert_allclose(0.75 - parameter.detach().numpy(), scale * share.numpy(), atol=1e-14)


def test_pytorch_updates_by_the_mean_of_so_many_steps_in_the_last_of_them():
    torch = pytest.importorskip("torch")
    from backends.pytorch.optimizer import Updates

    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    fields = {"accumulate": 2, "clip_norm": 2.5, "momentum": 0.0, "learning_rate": 1.0}
    updates = Updates(make_task(**fields, warm_up=1), [parameter], fused=False)
    values = []
    for gradient in (1.0, 3.0, 4.0, 6.0, 9.0):
        updates.make(parameter * gradient)
        values.append(parameter.item())
    # The mean 2 at half of the rate, and the mean 5, clipped, at the whole one; 9 is left over.
    np.testing.assert_allclose(values, [0.0, -1.0, -1.0, -3.5, -3.5], rtol=1e-6)


FIELDS = {"name": "x", "backbone": "resnet18", "weights": "random", "dataset": "digits", "image_size": 32}


def make_task(**fields: object) -> Task:
    return Task.model_validate({**FIELDS, "learning_rate": 0.1, **fields})


def test_a_constant_rate_is_one_number_and_a_warm_up_rises_to_it_in_equal_parts():
    assert recipe.list_learning_rates(make_task()).tolist() == [0.1]
    assert not recipe.follows_schedule(make_task())
    np.testing.assert_allclose(recipe.list_learning_rates(make_task(warm_up=3)), [0.025, 0.05, 0.075, 0.1])


def test_a_cosine_falls_from_the_whole_rate_to_nothing_after_the_last_step():
    rates = recipe.list_learning_rates(make_task(schedule="cosine", warm_up=1, schedule_steps=5))
    half = 0.5 + np.cos(np.pi / 4) / 2
    np.testing.assert_allclose(rates, 0.1 * np.array([0.5, 1, half, 0.5, 1 - half, 0]), atol=1e-12)


def test_steps_fall_to_a_tenth_after_each_third():
    rates = recipe.list_learning_rates(make_task(schedule="step", schedule_steps=6))
    np.testing.assert_allclose(rates, 0.1 * np.array([1, 1, 0.1, 0.1, 0.01, 0.01, 0.01]))


def test_a_schedule_without_its_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="schedule 'cosine' needs a number of steps: set schedule_steps"):
        recipe.list_learning_rates(make_task(schedule="cosine"))


def test_a_field_that_was_left_alone_is_not_written_so_that_hashes_are_what_they_were():
    task = make_task()
    new = {"update_rule", "nesterov", "beta1", "beta2", "epsilon", "weight_decay", "label_smoothing", "schedule"}
    new |= {"warm_up", "schedule_steps", "clip_norm", "accumulate", "flip", "crop_scale", "jitter"}
    assert set(task.model_dump()).isdisjoint(new)
    adamw = make_task(update_rule="adamw", beta1=0.8, beta2=0.99, epsilon=1e-7)
    assert Task.model_validate_json(adamw.model_dump_json()) == adamw
    assert Task.model_validate_json(task.model_dump_json()).hash == task.hash
    changed = make_task(
        nesterov=True,
        weight_decay=0.1,
        clip_norm=0.5,
        accumulate=2,
        label_smoothing=0.1,
        schedule="cosine",
        warm_up=1,
        schedule_steps=9,
    )
    assert Task.model_validate_json(changed.model_dump_json()) == changed
    assert len({make_task(**fields).hash for fields in ({}, {"nesterov": True}, {"clip_norm": 0.1})}) == 3


def test_what_differs_from_plain_sgd_is_named():
    assert not recipe.is_named(make_task())
    changed = make_task(clip_norm=0.5, accumulate=4, warm_up=3)
    assert recipe.describe(changed) == (
        "SGD 0.1, momentum 0.9, gradients clipped at 0.5, updates of 4 steps, 3 updates of warm-up"
    )
    assert all(recipe.is_named(make_task(**fields)) for fields in ({"clip_norm": 0.5}, {"accumulate": 4}))


@pytest.mark.parametrize(
    ("backend", "knobs", "line"),
    [
        (
            "keras",
            {"features": "cached"},
            "features 'cached' are computed once, and this task's images change in each epoch by flips: use features "
            "recomputed",
        ),
        (
            "jax",
            {"images": "normalised"},
            "images 'normalised' are prepared once, and this task's change in each epoch by flips: use images streamed",
        ),
    ],
)
def test_images_that_are_prepared_once_are_refused_where_they_are_augmented(backend, knobs, line):
    check_variant(backend, Variant(**knobs), make_task(dataset="cifar10"))
    with pytest.raises(UnsupportedVariant, match=f"^{line}$"):
        check_variant(backend, Variant(**knobs), make_task(dataset="cifar10", flip=True))


def test_a_backend_of_a_package_that_augments_no_images_is_refused_with_a_task_that_does(monkeypatch):
    monkeypatch.setattr(REGISTRY, "own", {**REGISTRY.own, "mine": BackendEntry("mine", (), recipes=True)})
    line = "^mine augments no images, and this task has flips: use a task without them, or another backend$"
    with pytest.raises(UnsupportedVariant, match=line):
        check_variant("mine", Variant(), make_task(flip=True))
    words = "SGD 0.1, momentum 0.9, flips, crops from 0.5 of the area, jitter 0.2"
    assert recipe.describe(make_task(flip=True, crop_scale=0.5, jitter=0.2)) == words


def test_a_closed_form_of_another_update_rule_is_refused():
    line = "gradients 'closed_form' have SGD's update, and this task's update rule is 'adamw': use gradients no_grad"
    with pytest.raises(UnsupportedVariant, match=line):
        check_variant("pytorch", Variant(gradients="closed_form"), make_task(update_rule="adamw"))
    check_variant("pytorch", Variant(gradients="closed_form"), make_task(nesterov=True))


def test_accumulation_on_several_devices_is_refused():
    line = "accumulate 4 is for one device: use --devices 1, or --accumulate 1 with a larger batch size"
    with pytest.raises(UnsupportedVariant, match=line):
        check_variant("jax", Variant(devices=2), make_task(accumulate=4))
    check_variant("jax", Variant(devices=2), make_task(clip_norm=1.0))
    check_variant("jax", Variant(), make_task(accumulate=4))


def test_a_backend_of_a_package_that_follows_no_recipes_is_refused_with_them(monkeypatch):
    monkeypatch.setattr(REGISTRY, "own", {**REGISTRY.own, "mine": BackendEntry("mine", ())})
    check_variant("mine", Variant(), make_task())
    line = (
        "mine trains by SGD with momentum at a constant rate, and this task's recipe is SGD 0.1, Nesterov momentum 0.9"
    )
    with pytest.raises(UnsupportedVariant, match=f"{line}: use another recipe, or another backend"):
        check_variant("mine", Variant(), make_task(nesterov=True))
