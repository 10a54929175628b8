"""The checkpoints of networks of timm: exported once and found again, from files, downloaded, or answered in a line."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from backends.backbones import BACKBONES
from backends.convolutions import list_convolutions
from backends.task import Task
from bench.errors import Unavailable, UserError
from bench.networks import exported_checkpoints, saved_programs
from bench.networks.processes import make_unknown_network_error
from bench.plan.prepared_task import override_task
from bench.weights import checkpoints
from bench.weights.checkpoint_folder import MODEL
from bench.weights.exported_files import CONSTANTS, GRAPH, get_graph_folder, read_weights

pytestmark = pytest.mark.thorough

#: A network of timm's own tests, of 0.3 million parameters, and its repository.
TASK = Task(name="t", backbone="timm/test_vit", weights="random", dataset="digits", image_size=32)
REPOSITORY = "timm/test_vit.r160_in1k"
WRITE = """
import sys, timm, torch
from safetensors.torch import save_file
torch.manual_seed(3)
model = timm.create_model("test_vit")
torch.save(model.state_dict(), sys.argv[1] + ".pth")
save_file(model.state_dict(), sys.argv[1])
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A file as it is in timm's repositories, with its classifier, of weights that nobody trained."""
    file = tmp_path_factory.mktemp("published") / "model.safetensors"
    subprocess.run([sys.executable, "-c", WRITE, str(file)], check=True)
    return file


class Hub(BaseHTTPRequestHandler):
    """Answers as the Hugging Face Hub does for one file."""

    content = b""

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def _answer(self, with_content: bool) -> None:
        found = self.path.startswith(f"/{REPOSITORY}/resolve/") and self.path.endswith("/model.safetensors")
        self.send_response(200 if found else 404)
        self.send_header("X-Repo-Commit", "1" * 40)
        self.send_header("ETag", hashlib.sha256(self.content).hexdigest())
        self.send_header("Content-Length", str(len(self.content) if found else 0))
        self.end_headers()
        if with_content and found:
            self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(published, tmp_path, monkeypatch) -> Iterator[None]:
    handler = type("Served", (Hub,), {"content": published.read_bytes()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    yield
    server.shutdown()


def read_published(file: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(file)


def test_a_network_is_exported_once_and_then_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    first = exported_checkpoints.obtain(TASK)
    assert capsys.readouterr().err == "exporting timm/test_vit at 32 px from PyTorch, once\n"
    began = time.perf_counter()
    again = exported_checkpoints.obtain(TASK)
    assert time.perf_counter() - began < 1
    assert again == first
    assert capsys.readouterr().err == ""
    weights = read_weights(first.folder, TASK)
    assert set(weights) == set(TASK.network.tensors())
    assert first.source == "timm/test_vit, random 0"
    for name in (GRAPH, CONSTANTS, MODEL):
        whole = (first.folder / name).read_bytes()
        (first.folder / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(
            UserError, match=r"is damaged \(.*\): delete it: the next run exports the network again"
        ) as caught:
            exported_checkpoints.obtain(TASK)
        assert "\n" not in str(caught.value)
        (first.folder / name).write_bytes(whole)
    assert exported_checkpoints.obtain(TASK) == first


def test_the_graph_of_a_backbone_of_the_table_is_made_again_if_it_was_made_by_other_code(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    task = TASK.model_copy(update={"backbone": "resnet18"})
    checkpoint = checkpoints.obtain(task, progress=False)
    exported_checkpoints.add_graph(task, checkpoint)
    folder = get_graph_folder(checkpoint.folder, task)
    graph = (folder / GRAPH).read_bytes()
    (folder / GRAPH).write_bytes(graph[:100])
    with pytest.raises(UserError, match=r"exported-32 is damaged \(.*\): delete it"):
        exported_checkpoints.add_graph(task, checkpoint)
    (folder / exported_checkpoints.MADE_FROM).write_text("timm-resnet18-32-random-0-0123456789ab")
    (folder / GRAPH).write_bytes(graph)
    with monkeypatch.context() as patch:
        patch.setattr(exported_checkpoints, "find_spec", lambda name: None)
        exported_checkpoints.add_graph(task, checkpoint)
    (folder / GRAPH).write_bytes(b"of other code")
    exported_checkpoints.add_graph(task.model_copy(update={"seed": 5}), checkpoint)
    assert (folder / GRAPH).read_bytes() == graph
    assert len(exported_checkpoints.list_kept_folders(task.model_copy(update={"backbone": "timm/resnet18"}))) == 1


@pytest.mark.parametrize("ending", ["", ".pth"])
def test_a_file_of_timms_tensors_is_a_checkpoint(published, ending):
    checkpoint = exported_checkpoints.obtain(TASK, Path(f"{published}{ending}"))
    weights, expected = read_weights(checkpoint.folder, TASK), read_published(published)
    assert "head.weight" not in weights
    assert all(np.array_equal(tensor, expected[name]) for name, tensor in weights.items() if name != "pos_embed")


def test_pretrained_weights_are_downloaded(published, hub):
    task = TASK.model_copy(update={"weights": "pretrained"})
    checkpoint = exported_checkpoints.obtain(task)
    weights, expected = read_weights(checkpoint.folder, task), read_published(published)
    assert np.array_equal(weights["blocks.0.attn.qkv.weight"], expected["blocks.0.attn.qkv.weight"])
    assert checkpoint.source == f"timm/test_vit, {REPOSITORY}"


def test_without_the_network_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    task = TASK.model_copy(update={"backbone": "timm/test_vit2", "weights": "pretrained"})
    with pytest.raises(
        Unavailable, match=r"^the pretrained weights of timm/test_vit2 cannot be downloaded \(.*\): conn"
    ):
        exported_checkpoints.obtain(task)


def test_a_file_of_another_network_is_one_line(published):
    with pytest.raises(UserError, match=r"model.safetensors is no checkpoint of timm/test_resnet: "):
        exported_checkpoints.obtain(TASK.model_copy(update={"backbone": "timm/test_resnet"}), published)


def test_the_nearest_names_are_those_of_the_same_length_first():
    error = make_unknown_network_error("resnet81", ["res2net101", "resnet10t", "resnet18", "resnet18d", "vgg11"])
    assert "did you mean resnet18, resnet10t, resnet18d?" in str(error)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"backbone": "timm/test_vitt"}, r"^timm has no network 'test_vitt': did you mean test_vit"),
        ({"image_size": 4}, r"^timm/test_vit cannot be exported at 4 px: "),
        ({"backbone": "timm/test_vit.r161"}, r"timm has no weights 'r161' of test_vit: it has r160_in1k$"),
    ],
)
def test_a_network_that_there_is_not_is_one_line(fields, message):
    with pytest.raises(UserError, match=message):
        exported_checkpoints.obtain(TASK.model_copy(update=fields))


def test_a_resnet_has_the_convolutions_of_the_table():
    """The geometry that is read from a graph is that of the network that the table describes."""
    task = TASK.model_copy(update={"backbone": "timm/resnet18"})
    exported_checkpoints.obtain(task)
    own = {"source": "", "has_activation": False, "adds_shortcut": False}
    described, expected = (
        {replace(one, **own) for one in list_convolutions(network, 32)}
        for network in (task.network, BACKBONES["resnet18"])
    )
    assert described == expected


KINDS = ("usual", "one channel", "one batch", "train mode", "maps", "dictionary", "double", "half within", "argmax")
SAVE = """
import sys, timm, torch

class Wrapped(torch.nn.Module):
    def __init__(self, model, wrap):
        super().__init__()
        self.model, self.wrap = model, wrap
    def forward(self, x):
        return self.wrap(self.model(x))

WRAPPED = {
    "dictionary": lambda x: {"features": x},
    "half within": lambda x: x.half().float(),
    "argmax": lambda x: x + x.argmax(1, keepdim=True),
}

for kind in sys.argv[2:]:
    torch.manual_seed(4)
    model = timm.create_model("test_efficientnet", num_classes=0, in_chans=1 if kind == "one channel" else 3,
                              global_pool="" if kind == "maps" else "avg")
    model = Wrapped(model, WRAPPED[kind]) if kind in WRAPPED else model
    model.train(kind == "train mode")
    images = torch.zeros(2, 1 if kind == "one channel" else 3, 32, 32)
    if kind == "double":
        model, images = model.double(), images.double()
    sizes = None if kind == "one batch" else ({0: torch.export.Dim("batch")},)
    program = torch.export.export(model, (images,), dynamic_shapes=sizes)
    torch.export.save(program, f"{sys.argv[1]}/{kind}.pt2")
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    """A folder with a saved program of each kind."""
    folder = tmp_path_factory.mktemp("programs")
    subprocess.run([sys.executable, "-W", "ignore", "-c", SAVE, str(folder), *KINDS], check=True)
    return folder


def make_program_task(file: Path, **fields) -> Task:
    task, changed = override_task("cifar10-lite0", {"backbone": str(file), "image_size": 32, **fields})
    assert "backbone" in changed
    return task


def test_a_saved_program_is_a_backbone_with_its_own_weights(programs):
    task = make_program_task(programs / "usual.pt2")
    assert re.fullmatch(r"program/usual-[0-9a-f]{12}", task.backbone)
    checkpoint = exported_checkpoints.obtain(task, progress=False)
    weights = read_weights(checkpoint.folder, task)
    assert weights["conv_stem.weight"].shape[1:] == (3, 3, 3)
    assert task.network.pair_convolutions_with_norms() == {}
    assert Path(task.network.program).is_file()
    assert exported_checkpoints.obtain(task).sha256 == checkpoint.sha256
    with pytest.raises(UserError, match="has its own weights: leave it out"):
        exported_checkpoints.obtain(task, programs / "usual.pt2")


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("one channel", {}, "a program that takes 1 channels: images have 3"),
        ("double", {}, "a program for images of torch.float64: export it with images of torch.float32"),
        ("half within", {}, "a conversion to torch.float16: leave it out"),
        (
            "argmax",
            {},
            "operation argmax (the graph has no such operation: docs/network-graph.md of this project lists",
        ),
        ("one batch", {}, "a program for batches of 2: export it with dynamic_shapes="),
        ("train mode", {}, "a network in train mode: export it in eval mode"),
        ("maps", {}, "features of the shape (b, 256, 1, 1): pool or flatten them to (n, d)"),
        ("dictionary", {}, "a network that returns a dict: return the features (n, d) alone"),
        ("usual", {"image_size": 64}, "a program for images of 32 x 32 px: use its size with --image-size"),
    ],
)
def test_a_program_that_is_none_of_images_is_one_line(programs, kind, fields, message):
    task = make_program_task(programs / f"{kind}.pt2", **fields)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        exported_checkpoints.obtain(task, progress=False)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_program_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"it does not exist: give a file of torch\.export\.save"):
        make_program_task(tmp_path / "missing.pt2")
    file = tmp_path / "text.pt2"
    file.write_text("none")
    task = make_program_task(file)
    with pytest.raises(UserError, match=r"PyTorch cannot read the program \(.*\): give a whole file of ") as caught:
        exported_checkpoints.obtain(task, progress=False)
    assert not re.search(r"\n|warnings above", str(caught.value))
    assert not saved_programs.find_file(task.backbone).exists()


def test_a_saved_program_has_no_random_weights(programs):
    with pytest.raises(UserError, match=r"^unknown weights of program/usual-.* Use one of pretrained"):
        make_program_task(programs / "usual.pt2", weights="random")
