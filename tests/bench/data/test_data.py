"""Digits, subsets, order and head: what is drawn from a seed is the same on every machine."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from backends.augmentation import BRIGHTNESS, COLUMNS, FLIP, SATURATION, TOP
from backends.task import Task
from bench import data
from bench.data import digits as digits_module
from bench.data import order, subset
from bench.data.augmentations import draw_augmentations, draw_boxes
from bench.data.order import draw_head, draw_order, draw_training, hash_order
from bench.data.subset import limit_test_images, limit_training_images
from bench.errors import Unavailable, UserError
from bench.weights import random_weights


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits")


def test_digits_are_grey_and_use_the_whole_range(digits):
    assert digits.train_images.shape == (1437, 8, 8, 3)
    assert digits.test_images.shape == (360, 8, 8, 3)
    assert digits.train_images.dtype == np.uint8
    assert (digits.train_images[..., 0] == digits.train_images[..., 2]).all()
    assert set(np.unique(digits.train_images)) == {round(level * 255 / 16) for level in range(17)}


def test_digits_are_split_without_overlap_and_by_class(digits):
    from sklearn.datasets import load_digits

    labels = load_digits().target
    together = np.concatenate([digits.train_labels, digits.test_labels])
    assert (np.bincount(together) == np.bincount(labels)).all()
    assert np.abs(np.bincount(digits.test_labels) - np.bincount(labels) / 5).max() <= 1
    images = np.concatenate([digits.train_images, digits.test_images])
    assert len(np.unique(images, axis=0)) == len(np.unique(load_digits().data, axis=0))


def test_a_scikit_learn_without_the_digits_is_one_line(monkeypatch):
    monkeypatch.setattr(digits_module, "FILE", "datasets/data/moved.csv.gz")
    with pytest.raises(Unavailable, match=r"scikit-learn has no datasets/data/moved.csv.gz"):
        data.load("digits")


def test_digits_are_the_same_every_time(digits):
    assert data.load("digits").fingerprint == digits.fingerprint == "2829d58b01e3331b"


def test_a_subset_keeps_images_with_their_labels_and_all_test_images(digits):
    few = limit_training_images(digits, 100, seed=3)
    pairs = zip(digits.train_images, digits.train_labels, strict=True)
    where = {image.tobytes(): label for image, label in pairs}
    assert len(few.train_images) == 100
    assert all(where[i.tobytes()] == n for i, n in zip(few.train_images, few.train_labels, strict=True))
    assert (few.test_images == digits.test_images).all()
    assert few.fingerprint != digits.fingerprint
    assert "100 of 1437" in few.source


def test_a_subset_follows_its_seed(digits):
    assert (
        limit_training_images(digits, 50, seed=1).fingerprint == limit_training_images(digits, 50, seed=1).fingerprint
    )
    assert (
        limit_training_images(digits, 50, seed=1).fingerprint != limit_training_images(digits, 50, seed=2).fingerprint
    )


def test_a_subset_of_everything_is_everything(digits):
    assert limit_training_images(digits, None, seed=1) is digits
    assert limit_training_images(digits, 1437, seed=1).fingerprint == digits.fingerprint


def test_test_images_can_be_limited_and_training_images_stay(digits):
    few = limit_test_images(digits, 30, seed=3)
    assert len(few.test_images) == len(few.test_labels) == 30
    assert few.train_images is digits.train_images
    assert "30 of 360 test images" in few.source
    assert limit_test_images(digits, 500, seed=3) is limit_test_images(digits, None, seed=3) is digits


def test_a_subset_larger_than_the_data_set_is_refused(digits):
    with pytest.raises(UserError, match="not 1438: use 1437 or fewer"):
        limit_training_images(digits, 1438, seed=0)


def test_each_epoch_visits_every_image_once_in_another_order():
    order = draw_order(20, epochs=3, batch_size=8, drop_last=False, seed=0)
    assert (np.sort(order.permutations, axis=1) == np.arange(20)).all()
    assert len({tuple(epoch) for epoch in order.permutations}) == 3
    assert order.permutations.dtype == np.int64
    assert [len(batch) for batch in order.batches()] == [8, 8, 4] * 3


def test_more_epochs_begin_like_fewer():
    short, long = (draw_order(20, epochs, 4, False, seed=5).permutations for epochs in (2, 4))
    assert (long[:2] == short).all()


def test_the_hash_of_an_order_follows_all_that_makes_it():
    hashes = {
        hash_order(draw_order(20, 2, 4, False, seed=0)),
        hash_order(draw_order(20, 2, 4, False, seed=1)),
        hash_order(draw_order(20, 2, 5, False, seed=0)),
        hash_order(draw_order(20, 2, 4, True, seed=0)),
        hash_order(draw_order(20, 3, 4, False, seed=0)),
    }
    assert len(hashes) == 5
    assert hash_order(draw_order(20, 2, 4, False, seed=0)) in hashes


def make_augmented(**fields: object) -> Task:
    return Task.model_validate(
        {
            "name": "x",
            "backbone": "resnet18",
            "weights": "random",
            "dataset": "digits",
            "image_size": 32,
            "epochs": 3,
            **fields,
        }
    )


def test_augmentations_are_drawn_by_epoch_and_image_and_do_not_depend_on_the_number_of_epochs():
    task = make_augmented(flip=True, crop_scale=0.5, jitter=0.2)
    rows = draw_augmentations(1000, task, seed=7)
    flips = rows[:, :, FLIP]
    assert (rows.shape, rows.dtype) == ((3, 1000, COLUMNS), np.float32)
    assert set(np.unique(flips)) == {0, 1}
    assert (np.abs(flips.mean(axis=1) - 0.5) < 0.06).all()
    assert abs((flips[0] != flips[1]).mean() - 0.5) < 0.06
    fewer = draw_augmentations(1000, task.model_copy(update={"epochs": 2}), seed=7)
    assert (fewer == rows[:2]).all()
    others = draw_augmentations(1000, task, seed=8)
    assert (others != rows).any(axis=(0, 1)).all()
    for column, fields in ((FLIP, {"flip": True}), (TOP, {"crop_scale": 0.5}), (BRIGHTNESS, {"jitter": 0.2})):
        alone = draw_augmentations(1000, make_augmented(**fields), seed=7)
        assert (alone[..., column] == rows[..., column]).all(), "whatever else the task does"
        assert not alone[..., 7 if column < BRIGHTNESS else FLIP].any()


def test_boxes_lie_in_the_image_and_have_the_share_of_its_area_and_the_aspect_that_they_may():
    top, left, height, width = draw_boxes(2000, 64, 0.25, np.random.default_rng(0)).T
    assert min(top.min(), left.min()) == 0
    assert max((top + height).max(), (left + width).max()) == 64
    area = height * width / 64**2
    assert 0.24 < area.min() < 0.27
    assert area.max() > 0.97
    assert 0.72 < (width / height).min() < 0.77
    assert 1.3 < (width / height).max() < 1.38
    assert abs(np.corrcoef(height, width)[0, 1]) < 0.95
    whole = draw_boxes(50, 1, 0.01, np.random.default_rng(0))
    assert (whole == [0, 0, 1, 1]).all(), "of one pixel there is no smaller box"


def test_factors_are_uniform_around_one():
    factors = draw_augmentations(2000, make_augmented(jitter=0.4), seed=1)[..., BRIGHTNESS : SATURATION + 1]
    assert 0.6 <= factors.min() < 0.61
    assert 1.39 < factors.max() <= 1.4
    assert np.abs(factors.mean(axis=(0, 1)) - 1).max() < 0.02


def test_the_hash_of_an_order_follows_its_augmentations():
    plain, flipped = (draw_training(20, make_augmented(**fields), 0) for fields in ({}, {"flip": True}))
    assert plain.augmentations is None
    assert hash_order(plain) == hash_order(draw_order(20, 3, 4, False, seed=0)) != hash_order(flipped)


def test_an_order_without_a_batch_is_refused():
    with pytest.raises(UserError, match="do not fill a batch of 32"):
        draw_order(20, 1, 32, True, seed=0)
    assert draw_order(20, 1, 32, False, seed=0).steps == 1


def test_the_head_is_uniform_within_pytorchs_bound():
    head = draw_head(512, 10, seed=0)
    assert head.kernel.shape == (512, 10)
    assert head.bias.shape == (10,)
    assert head.kernel.dtype == head.bias.dtype == np.float32
    bound = 512**-0.5
    assert 0.99 * bound < np.abs(head.kernel).max() <= bound
    assert abs(head.kernel.std() - bound / 3**0.5) < 0.02 * bound
    assert np.abs(head.bias).max() <= bound
    assert (draw_head(512, 10, seed=0).kernel == head.kernel).all()
    assert (draw_head(512, 10, seed=1).kernel != head.kernel).any()


def test_loading_data_and_checkpoints_imports_no_framework():
    code = (
        "import sys, bench.weights.checkpoints, bench.weights.conversion, bench.data.order, bench.data.subset;"
        "frameworks = ('torch', 'torchvision', 'timm', 'tensorflow', 'keras', 'jax');"
        "print([name for name in frameworks if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_two_draws_share_a_stream_of_numbers():
    streams = [subset.TRAIN_STREAM, subset.TEST_STREAM, order.ORDER_STREAM, order.HEAD_STREAM, random_weights.STREAM]
    assert len(set(streams)) == len(streams)
