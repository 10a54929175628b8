"""Checkpoints: drawn from a seed, or given as folders and files, and checked before they are used."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backends.backbones import BACKBONES
from backends.task import Task
from bench.errors import UserError
from bench.weights import checkpoints, random_weights
from tests.bench.weights.reading import read_tensors
from tests.bench.weights.refusal import assert_refused

RESNET18 = Task(name="t", backbone="resnet18", weights="random", dataset="cifar10", image_size=32, seed=7)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> checkpoints.Checkpoint:
    """A sound ResNet-18 outside of home; the tests only read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADTOHEAD_HOME", str(tmp_path_factory.mktemp("drawn")))
        return checkpoints.obtain(RESNET18)


def of(backbone: str) -> Task:
    return RESNET18.model_copy(update={"backbone": backbone})


# --- random weights ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", BACKBONES)
def test_random_weights_have_the_backbones_names_shapes_and_order(backbone):
    tensors = read_tensors(checkpoints.obtain(of(backbone)))
    assert {n: t.shape for n, t in tensors.items()} == BACKBONES[backbone].tensors()
    assert list(tensors) == list(BACKBONES[backbone].tensors())
    assert all(t.dtype == np.float32 and t.flags.c_contiguous for t in tensors.values())


def test_random_convolutions_have_hes_variance_and_norms_are_the_identity():
    tensors = random_weights.draw_weights(BACKBONES["resnet18"], seed=0)
    kernel = tensors["layer3.0.conv2.weight"]
    assert kernel.std() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)
    assert (tensors["bn1.running_var"] == 1).all()
    assert (tensors["bn1.running_mean"] == 0).all()
    assert (tensors["layer1.0.bn1.weight"] == 1).all()
    assert np.allclose(tensors["layer1.0.bn2.weight"], 8**-0.5)
    depthwise = random_weights.draw_weights(BACKBONES["efficientnet_lite0"], seed=0)["blocks.5.0.conv_dw.weight"]
    assert depthwise.std() == pytest.approx((2 / 25) ** 0.5, rel=0.02)


def test_random_weights_follow_the_seed_and_are_drawn_once():
    drawn = checkpoints.obtain(RESNET18)
    written = (drawn.folder / "model.safetensors").stat().st_mtime_ns
    again = checkpoints.obtain(RESNET18)
    assert again == drawn
    assert (again.folder / "model.safetensors").stat().st_mtime_ns == written
    other = checkpoints.obtain(RESNET18.model_copy(update={"seed": 8}))
    assert other.sha256 != drawn.sha256
    assert other.folder != drawn.folder


# --- given by the user ------------------------------------------------------------------------------------


def test_a_folder_and_its_file_are_the_same_checkpoint(drawn, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(drawn.folder, mine)
    folder = checkpoints.obtain(RESNET18, mine)
    file = checkpoints.obtain(RESNET18, mine / "model.safetensors")
    assert folder == file
    assert folder.sha256 == file.sha256 == drawn.sha256
    assert json.loads((file.folder / "config.json").read_text())["architecture"] == "resnet18"


def test_the_hash_follows_one_weight_and_not_the_classifier(drawn, tmp_path):
    tensors = load_file(drawn.folder / "model.safetensors")
    save_file(tensors | {"fc.weight": np.zeros((5, 512), np.float32)}, tmp_path / "fc.safetensors")
    with_classifier = checkpoints.obtain(RESNET18, tmp_path / "fc.safetensors")
    assert with_classifier.sha256 == drawn.sha256
    assert json.loads((with_classifier.folder / "config.json").read_text())["num_classes"] == 5
    tensors["bn1.bias"][0] += 1e-6
    save_file(tensors, tmp_path / "bias.safetensors")
    assert checkpoints.obtain(RESNET18, tmp_path / "bias.safetensors").sha256 != drawn.sha256


def test_a_path_that_is_not_there_is_named(tmp_path):
    assert_refused(RESNET18, tmp_path / "nowhere", "does not exist")


def test_a_folder_needs_no_config(drawn, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(drawn.folder, mine)
    (mine / "config.json").unlink()
    assert checkpoints.obtain(RESNET18, mine).sha256 == drawn.sha256
    (mine / "model.safetensors").unlink()
    assert_refused(RESNET18, mine, "is empty")


@pytest.mark.parametrize("kept", [5, 1000, 1_000_000])
def test_a_truncated_file_is_refused(drawn, tmp_path, home, kept):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((drawn.folder / "model.safetensors").read_bytes()[:kept])
    assert_refused(RESNET18, cut, "truncated")
    assert not (home / "checkpoints").exists()


def test_a_cached_checkpoint_that_is_damaged_says_what_to_delete():
    drawn = checkpoints.obtain(RESNET18)
    (drawn.folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=f"delete {drawn.folder}"):
        checkpoints.obtain(RESNET18)


def test_another_architecture_is_refused_with_the_first_tensor_that_differs(home):
    fifty = checkpoints.obtain(of("resnet50")).folder
    assert_refused(RESNET18, fifty, "not resnet18", "layer1.0.conv1.weight is (64, 64, 1, 1), not (64, 64, 3, 3)")
    # All tensors of a ResNet-18 are in a ResNet-34, in the same shapes.
    deeper = checkpoints.obtain(of("resnet34")).folder
    assert_refused(RESNET18, deeper, "not resnet18", "it has layer1.2.bn1.bias (64,)")
    assert_refused(of("resnet34"), checkpoints.obtain(RESNET18).folder, "it has no layer1.2.conv1.weight")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_named(drawn, tmp_path, value):
    tensors = load_file(drawn.folder / "model.safetensors")
    tensors["layer2.0.bn1.running_var"][3] = value
    save_file(tensors, tmp_path / "bad.safetensors")
    assert_refused(RESNET18, tmp_path / "bad.safetensors", "layer2.0.bn1.running_var", "1 values")


@pytest.mark.parametrize("what", ["truncated", "resnet18", "NaN"])
def test_a_bad_checkpoint_is_one_line_on_the_command_line(drawn, tmp_path, command_line, what):
    file = tmp_path / "bad.safetensors"
    if what == "NaN":
        lite0 = checkpoints.obtain(RESNET18.model_copy(update={"backbone": "efficientnet_lite0"}))
        save_file(
            {name: tensor * np.nan for name, tensor in load_file(lite0.folder / "model.safetensors").items()}, file
        )
    else:
        whole = (drawn.folder / "model.safetensors").read_bytes()
        file.write_bytes(whole[:1000] if what == "truncated" else whole)
    ended = command_line("run", "--task", "embedded", "--checkpoint", file)
    assert (ended.status, ended.out) == (2, "")
    words = {"truncated": "is truncated", "resnet18": "is not efficientnet_lite0: it has no conv_stem.weight"}
    assert ended.err.startswith(f"bench: {file}{': ' if what == 'NaN' else ' '}{words.get(what, 'conv_stem.weight')}")
    assert ended.err.count("\n") == 1


def test_a_home_that_cannot_be_written_is_one_line(home, command_line):
    home.mkdir()
    (home / "checkpoints").write_text("a file in its place")
    ended = command_line("run", "--task", "embedded", "--weights", "random")
    assert ended.status == 2
    assert ended.err.startswith(
        f"bench: {home / 'checkpoints'} cannot be written (File exists): free some space, or set"
    )
    assert ended.err.count("\n") == 1


def test_whole_numbers_are_no_weights(drawn, tmp_path):
    tensors = load_file(drawn.folder / "model.safetensors")
    tensors["conv1.weight"] = tensors["conv1.weight"].astype(np.int8)
    save_file(tensors, tmp_path / "int8.safetensors")
    assert_refused(RESNET18, tmp_path / "int8.safetensors", "conv1.weight as I8")


def test_half_precision_is_read_as_float32(drawn, tmp_path):
    tensors = {n: t.astype(np.float16) for n, t in load_file(drawn.folder / "model.safetensors").items()}
    save_file(tensors, tmp_path / "half.safetensors")
    read = read_tensors(checkpoints.obtain(RESNET18, tmp_path / "half.safetensors"))
    assert read["conv1.weight"].dtype == np.float32
    assert (read["conv1.weight"] == tensors["conv1.weight"]).all()
