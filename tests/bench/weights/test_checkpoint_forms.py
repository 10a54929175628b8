"""Checkpoints as people have them: every form is read to the same weights, or refused for what it is."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bench.errors import UserError
from bench.weights import checkpoints
from bench.weights.model_file import find_model_file
from bench.weights.random_weights import draw_weights
from bench.weights.state_dict import read_state_dict
from tests.bench.weights.pytorch_files import TINY
from tests.bench.weights.test_checkpoints import RESNET18

WEIGHTS = draw_weights(TINY, 0)


def read(path: Path) -> tuple[dict[str, np.ndarray], str]:
    return read_state_dict(*find_model_file(path), TINY)


def test_every_form_has_the_same_weights(pth):
    files = sorted(file for file in (pth / "forms").iterdir() if file.suffix != ".bad")
    assert len(files) > 60
    for file in files:
        tensors, _ = read(file)
        rounding = {"fp16": np.float16, "bf16": None}.get(file.name[:4], np.float32)
        for name, expected in WEIGHTS.items():
            assert tensors[name].dtype == np.float32
            if rounding is None:  # NumPy has no bfloat16; its steps are 1/256 of a value at most
                assert np.abs(tensors[name] - expected).max() <= np.abs(expected).max() / 256, file
            else:
                assert (tensors[name] == expected.astype(rounding)).all(), f"{file}: {name}"
        heads = {} if file.name.startswith(("no head", "another head", "tagged")) else {"fc.weight", "fc.bias"}
        assert list(tensors) == [*WEIGHTS, *sorted(heads, reverse=True)], file


@pytest.mark.parametrize(
    ("name", "taken"),
    {
        "x.pth": "",
        "wrapper module._orig_mod.pth": "prefix module.",
        "prefix model.resnet.safetensors": "prefix model.resnet.",
        "beside old.pth": "entry state_dict, prefix module.",
        "entry deep.pth": "entry student.backbone",
        "averages too.pth": "entry state_dict",
        "averages inside.pth": "prefix online_model.",
        "averaged model.pth": "entry model_ema, prefix module.module.",
    }.items(),
)
def test_what_was_taken_is_said(pth, name, taken):
    assert read(pth / "forms" / name)[1] == taken


def test_what_was_taken_is_part_of_the_source_also_when_it_is_read_again(pth):
    for _ in range(2):
        found = checkpoints.obtain(RESNET18, pth / "wrapped.pth")
        assert found.source == f"file {pth / 'wrapped.pth'} (entry state_dict)"


#: Words of the one line about each file.
BAD = {
    "whole.bad": "is a whole pickled model (torch.nn.modules.container.Sequential), not a state dict: save one with",
    "whole old.bad": "is a whole pickled model (torch.nn.modules.container.Sequential)",
    "whole inside.bad": "has, as its entry model, a whole pickled model (torch.nn.modules.linear.Linear)",
    "script.bad": "is a TorchScript archive",
    "head.bad": "has only a head, no convolutions (weight (1000, 64), bias (1000,))",
    "other names.bad": "it has no conv1.weight (64, 3, 7, 7), its tensors are called 0.weight, 4.0.conv1.weight, …",
    "incomplete.bad": "is not tiny (prefix model.): it has no layer1.0.bn2.weight (64,); give a checkpoint of tiny",
    "other shape.bad": "is not tiny (entry state_dict, prefix model.): conv1.weight is (64, 3, 3, 3), not (64",
    "twice.bad": "has tiny several times, under prefix encoder_q. and prefix encoder_k.: save the one",
    "tensor.bad": "contains a single tensor, not a state dict",
    "empty dictionary.bad": "contains an empty dict, not a state dict",
    "list.bad": "contains list, not a state dict",
    "quantised.bad": "conv1.weight is torch._utils._rebuild_qtensor, no plain tensor",
    "whole numbers.bad": "has conv1.weight as I8: save it as float32",
    "numbers of eight bits.bad": "has conv1.weight as float8_e4m3fn: save it as float32",
    "not finite.bad": "bn1.bias has 64 values that are NaN or infinite",
    "cut.bad": "is truncated, or not a PyTorch file: replace it",
    "another bit.bad": "is truncated, or not a PyTorch file: replace it",
    "cut early.bad": "is truncated, or of an unknown kind",
    "cut old.bad": "is truncated, or not a PyTorch file: replace it",
    "cut old early.bad": "is truncated, or not a PyTorch file: replace it",
    "tar.bad": "is a tar archive: give",
    "pickle.bad": "is a pickle: give",
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_taken_is_named_for_what_it_is(pth, name):
    assert_refused(pth / "forms" / name, BAD[name])


def test_all_files_that_cannot_be_taken_are_tested(pth):
    assert {file.name for file in (pth / "forms").glob("*.bad")} == set(BAD)


#: First bytes of other files.
OTHER_KINDS = {
    "x.pth": (b"", "is empty"),
    "lfs.pth": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
    "page.safetensors": (b"\n<!DOCTYPE html><html>", "is a web page (HTML)"),
    "error.bin": (b'{"error": "not found"}', "is a JSON file"),
    "model.h5": (b"\x89HDF\r\n\x1a\n\0", "is an HDF5 file, as Keras and TensorFlow write"),
    "x.gz": (b"\x1f\x8b\x08", "is a gzip file"),
    "text.pth": (b"hello", "is a text file"),
    "x.onnx": (b"\x08\x07\x12", "is truncated, or of an unknown kind"),
    "x.safetensors": (b"\x08\x07\x12", "is truncated, or not a safetensors file"),
}


@pytest.mark.parametrize("name", OTHER_KINDS)
def test_another_kind_of_file_is_named(tmp_path, name):
    content, words = OTHER_KINDS[name]
    (tmp_path / name).write_bytes(content)
    assert_refused(tmp_path / name, words)


def test_another_kind_of_archive_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(1))
    assert_refused(tmp_path / "x.npz", "is a zip archive of another kind")
    for name in ("config.json", "model.weights.h5"):
        (tmp_path / name).write_bytes(b"x")
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, ".")
    (tmp_path / "packed.zip").rename(tmp_path / "x.keras")
    assert_refused(tmp_path / "x.keras", "is a model of Keras")


FOLDERS = ("model.safetensors", "pytorch_model.bin", "snapshots/01/model.safetensors", "model_best.pth.tar", "a.CKPT")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_with_weights_is_taken(pth, tmp_path, name):
    source = pth / "forms" / ("x.SafeTensors" if name.endswith("safetensors") else "x.pth")
    (tmp_path / "x" / name).parent.mkdir(parents=True)
    (tmp_path / "x" / name).symlink_to(source)
    (tmp_path / "x" / "readme.md").write_text("text")
    assert (read(tmp_path / "x")[0]["conv1.weight"] == WEIGHTS["conv1.weight"]).all()


OTHER_FOLDERS = {
    "nothing": ((), "is empty"),
    "text": (("readme.md",), "has none of model.safetensors, pytorch_model.bin"),
    "two": (("a.pth", "b.pth"), "has 2 files of weights, a.pth first: give one of them"),
    "snapshots": (
        ("snapshots/0/model.safetensors", "snapshots/1/model.safetensors"),
        "has model.safetensors 2 times, as",
    ),
    "SavedModel": (("saved_model.pb", "variables/variables.index"), "is a SavedModel of TensorFlow"),
    "Keras": (("config.json", "model.weights.h5"), "is a model of Keras"),
    "TensorFlow": (("x.ckpt.index", "x.ckpt.data-00000-of-00001"), "is a checkpoint of TensorFlow"),
    "shards": (
        ("model.safetensors.index.json", "model-00001-of-00002.safetensors"),
        "is a checkpoint in several files",
    ),
    "unpacked": (("data.pkl", "version", "data/0"), "is a file of PyTorch that was unpacked"),
}


@pytest.mark.parametrize("what", OTHER_FOLDERS)
def test_another_kind_of_folder_is_named(tmp_path, what):
    names, words = OTHER_FOLDERS[what]
    folder = tmp_path / "x"
    folder.mkdir()
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    assert_refused(folder, words)


def test_paths_that_lead_nowhere_are_named(tmp_path):
    (tmp_path / "link.pth").symlink_to("gone.pth")
    os.mkfifo(tmp_path / "pipe.pth")
    assert_refused(tmp_path / "nowhere.pth", "does not exist")
    assert_refused(tmp_path / "link.pth", "is a link to gone.pth, which does not exist")
    assert_refused(tmp_path / "pipe.pth", "is neither a file nor a folder")


def test_a_file_that_may_not_be_read_is_named(tmp_path, pth):
    shutil.copy(pth / "forms" / "x.pth", tmp_path)
    (tmp_path / "x.pth").chmod(0o400)
    assert read(tmp_path / "x.pth")
    (tmp_path / "x.pth").chmod(0)
    if os.access(tmp_path / "x.pth", os.R_OK):
        pytest.skip("this user reads everything")
    assert_refused(tmp_path / "x.pth", "cannot be read (Permission denied)")


# --- nothing in a file is run -----------------------------------------------------------------------------


def test_code_in_a_checkpoint_is_not_run(pth):
    # The process that wrote the files has proved that PyTorch would run it.
    files = sorted((pth / "traps").iterdir())
    assert len(files) == 12
    for file in files:
        if file.name.startswith("beside"):
            assert (read(file)[0]["conv1.weight"] == WEIGHTS["conv1.weight"]).all()
        else:
            function = "posix.system" if "system" in file.name else ".eval"
            words = "contains code" if "alone" in file.name else "bn1.bias is"
            assert_refused(file, words, function)
    assert not (pth / "traps" / "witness").exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"cbuiltins\neval\n(Vopen('witness','w')\ntR.",
        b"(Vopen('witness','w')\nibuiltins\neval\n.",
        b"(cbuiltins\neval\nVopen('witness','w')\no.",
        b"cos\nsystem\n(Vtouch witness\ntR.",
        b"cbuiltins\ngetattr\n(cos\nsystem\nV__call__\ntR(Vtouch witness\ntR.",
        b"\x80\x04\x8c\x0bos.path\n\x8c\x06system\x93.",
        b"\x80\x02c__main__\nX\n)\x81}(X\x08\x00\x00\x00__dict__}ub.",
        b"ccollections\nOrderedDict\n(cbuiltins\neval\ntR.",
        b"ctorch._tensor\n_rebuild_from_type_v2\n(cbuiltins\neval\nN(Vopen('witness','w')\ntNtR.",
        b"ctorch._utils\n_rebuild_tensor_v2\n(VopenI0\n(I1\nt(I1\nttR.",
    ],
)
def test_a_pickle_by_hand_runs_nothing(tmp_path, monkeypatch, pickled):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("x.pth", "w") as archive:
        archive.writestr("x/data.pkl", pickled)
        archive.writestr("x/data/0", b"1234")
    assert_refused(Path("x.pth"), "")
    assert not Path("witness").exists()


@pytest.mark.parametrize("what", ["a storage that is cut", "steps that are text"])
def test_a_view_that_cannot_be_is_refused(tmp_path, pth, what):
    with zipfile.ZipFile(pth / "forms" / "no head.pth") as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    if what == "steps that are text":
        steps = b"K\x93K1K\x07K\x01"  # (147, 49, 7, 1), those of the first convolution
        assert steps in entries["data.pkl"]
        entries["data.pkl"] = entries["data.pkl"].replace(steps, b"X\x01\x00\x00\x00aK1K\x07K\x01")
    else:
        entries["data/0"] = entries["data/0"][:8]
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"x/{name}", content)
    assert_refused(tmp_path / "x.pth", "is truncated, or not a PyTorch file")


def assert_refused(path: Path, *words: str) -> None:
    with pytest.raises(UserError) as error:
        read(path)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    assert ": " in message, "the way out comes after a colon"
    for word in words:
        assert word in message
