"""What a benchmarked function returns, in a file."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest

from bench.worker.output_file import UnknownOutput, read_output, write_output


@dataclass
class Result:
    loss: float
    logits: object


Pair = namedtuple("Pair", ["first", "second"])


@pytest.fixture
def keep(tmp_path):
    def write_and_read(output: object) -> dict[str, np.ndarray]:
        write_output(tmp_path / "output.npz", output)
        return read_output(tmp_path / "output.npz")

    return write_and_read


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (0.5, {"": 0.5}),
        (np.float32(0.5), {"": 0.5}),
        (True, {"": True}),
        ("text", {"": "text"}),
        (None, {"": "None"}),
        ((1, [2.0, {"a": None}]), {"[0]": 1, "[1][0]": 2.0, "[1][1]['a']": "None"}),
        (OrderedDict(loss=1.5), {"['loss']": 1.5}),
        (Result(1.5, [2]), {"['loss']": 1.5, "['logits'][0]": 2}),
        (Pair(1, 2), {"[0]": 1, "[1]": 2}),
        ([], {}),
    ],
)
def test_numbers_texts_and_containers(keep, output, found):
    assert {place: value.item() for place, value in keep(output).items()} == found


def test_arrays_keep_their_values(keep):
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    (kept,) = keep([array]).values()
    assert kept.dtype == np.int16
    assert (kept == array).all()


def test_bfloat16_becomes_float32(keep):
    dtypes = pytest.importorskip("ml_dtypes")  # JAX and TensorFlow bring it
    kept = keep(np.asarray([0.5, 3.0], dtypes.bfloat16))[""]
    assert kept.dtype == np.float32
    assert kept.tolist() == [0.5, 3.0]


@pytest.mark.slow
def test_tensors_of_pytorch_with_a_gradient_and_in_bfloat16(keep):
    torch = pytest.importorskip("torch")
    kept = keep({"loss": torch.tensor(1.5, requires_grad=True) * 2, "low": torch.tensor([0.5], dtype=torch.bfloat16)})
    assert kept["['loss']"].item() == 3.0
    assert kept["['low']"].tolist() == [0.5]


@pytest.mark.parametrize("output", [object(), {"a": [{1, 2}]}, (one for one in ()), b"bytes", 10**30, Result])
def test_what_cannot_be_compared_is_refused_and_named(keep, output):
    with pytest.raises(UnknownOutput, match=r"^a \w+\.\w+( at \['a'\]\[0\])?$"):
        keep(output)
