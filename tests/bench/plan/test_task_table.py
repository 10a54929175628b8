"""The task table, and what a task refuses to be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from backends.task import Task, Variant
from bench.plan.task_table import TASKS

BASE = {"name": "t", "backbone": "resnet18", "weights": "random", "dataset": "digits", "image_size": 32}


def test_tasks_are_distinguished_by_content_and_not_by_name():
    assert len({task.hash for task in TASKS.values()}) == len(TASKS)
    task = TASKS["tutorial"]
    assert task.model_copy(update={"name": "other"}).hash == task.hash
    for field, value in (("seed", 1), ("batch_size", 8), ("last_batch", "dropped"), ("std", (1.0, 1.0, 1.0))):
        assert task.model_copy(update={field: value}).hash != task.hash, field


def test_a_task_comes_back_from_json_as_it_was():
    for task in TASKS.values():
        back = Task.model_validate_json(task.model_dump_json())
        assert back == task
        assert back.hash == task.hash


def test_a_task_cannot_be_changed():
    with pytest.raises(ValidationError):
        TASKS["tutorial"].seed = 3


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"backbone": "resnet19"}, "backbone 'resnet19' is not one of resnet18"),
        ({"weights": "mine"}, "weights 'mine' do not exist for resnet18: use one of IMAGENET1K_V1, random"),
        ({"image_size": 31}, "image size 31 is too small for resnet18: use 32 or more"),
        ({"batch_norm": "batch_stats", "batch_size": 1}, "one value per channel at batch size 1 and 32 px"),
        ({"dataset": "mnist"}, "dataset"),
        ({"momentum": 1.0}, "momentum"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"seed": -1}, "seed"),
        (
            {"nesterov": True, "momentum": 0.0},
            "Nesterov's momentum needs a momentum above 0: set one, or leave nesterov",
        ),
        ({"weight_decay": -0.1}, "weight_decay"),
        (
            {"schedule": "cosine", "warm_up": 9, "schedule_steps": 9},
            "a warm-up of 9 steps is too long for a schedule of 9: use fewer than these, or more schedule_steps",
        ),
        ({"schedule": "cosine", "schedule_steps": 10_000_001}, "schedule_steps"),
        ({"schedule_steps": 9}, "the learning rate is constant: set a schedule, or leave schedule_steps out"),
        ({"update_rule": "adamw", "nesterov": True}, "Nesterov's momentum is SGD's: leave nesterov out, or use update"),
        (
            {"update_rule": "adamw", "trainable": "all", "batch_norm": "batch_stats"},
            "AdamW with epsilon 1e-08 steps along rounding errors where batch norm 'batch_stats' leaves no other "
            "gradient: use epsilon 0.0001 or more, or batch norm frozen",
        ),
        ({"beta2": 0.99}, "beta1, beta2 and epsilon are AdamW's: leave them out, or use update rule adamw"),
        ({"update_rule": "adamw", "epsilon": 0.0}, "epsilon"),
        ({"update_rule": "adamw", "beta1": 1.0}, "beta1"),
        ({"warm_up": -1}, "warm_up"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"crop_scale": 0.0}, "crop_scale"),
        ({"jitter": 1.5}, "jitter"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"accumulate": 0}, "accumulate"),
        (
            {"schedule": "cosine", "accumulate": 2, "warm_up": 9, "schedule_steps": 9},
            "a warm-up of 9 updates is too long for a schedule of 9",
        ),
        ({"clip_norm": float("inf")}, "clip_norm"),
        ({"batchsize": 4}, "batchsize"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(change, named):
    with pytest.raises(ValidationError) as error:
        Task(**{**BASE, **change})
    assert named in str(error.value)


def test_one_image_is_enough_where_its_map_has_more_than_one_pixel():
    large = Task(**{**BASE, "image_size": 33, "batch_norm": "batch_stats", "batch_size": 1})
    assert large.values_per_channel(1) == 4


def test_what_is_trained_begins_with_a_stage_and_has_no_statistics():
    task = Task(**{**BASE, "trainable": "last-stage"})
    assert task.trained[0] == "layer4.0.conv1.weight"
    assert task.trained[-1] == "layer4.1.bn2.bias"
    assert not [name for name in task.trained if "running" in name]
    lite = Task(**{**BASE, "backbone": "efficientnet_lite0", "image_size": 32, "trainable": "last-stage"})
    assert {name.split(".")[0] for name in lite.trained} == {"blocks", "conv_head", "bn2"}
    assert lite.trained[0] == "blocks.6.0.conv_pw.weight"
    whole = Task(**{**BASE, "trainable": "all"})
    assert len(whole.trained) == 60, "20 convolutions, 20 scales and 20 shifts"
    assert len({task.hash, whole.hash, Task(**BASE).hash}) == 3
    assert Task(**BASE).trained == ()


def test_training_the_head_alone_is_not_written_for_readers_that_do_not_know_better():
    assert "trainable" not in Task(**BASE).model_dump_json()
    assert TASKS["embedded"].hash == "cdc17879295c", "as before this field existed"


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU"])
def test_a_device_is_cpu_or_cuda(device):
    with pytest.raises(ValidationError):
        Variant(device=device)
    assert Variant(device="cuda:1").device == "cuda:1"
