"""`bench roofline` and `bench profile` in real processes: what they print and write."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from bench.roofline import roofline_file
from tests.backends.sessions import make_case
from tests.bench.processes import Bench, suite_file

pytestmark = pytest.mark.slow
BOUND = r"(compute|memory|overhead|input)"


def lines(text: str, beginning: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith(beginning)]


def test_a_roofline_of_arithmetic_has_all_its_tables(tmp_path):
    arguments = ("--suite", suite_file(tmp_path), "--launches", 1, "--rounds", 2)
    knobs = ("--variant", "default", "--knob", "features=cached")
    surroundings = {"COLUMNS": "200", "OMP_DYNAMIC": "true"}
    with Bench("roofline", *arguments, "--backend", "keras", *knobs, cwd=tmp_path, **surroundings) as bench:
        assert bench.end() == 0, bench.stderr[-2000:]
    titles = [line for line in bench.stdout.splitlines() if re.match(r"\w[\w ,/]+: cifar10-resnet18", line)]
    kinds = [title.partition(":")[0] for title in titles]
    assert kinds == ["Work of a step", "Work of a step", "Rates measured", *kinds[3:]]
    assert kinds[3:] == ["The convolutions alone, GFLOP/s", "Roofline", "Evidence"]
    assert re.search(rf"keras/default .*{BOUND} *$", bench.stdout, re.M)
    (bounds,) = lines(bench.stdout, "bound by  ")
    assert re.fullmatch(rf"bound by +{BOUND} +{BOUND}", bounds), bounds
    shares = [re.findall(r"(\d+) %", *lines(bench.stdout, f"{one}  ")) for one in ("compute", "memory", "overhead")]
    inputs = re.findall(r"(\d+) %", lines(bench.stdout, "input  ")[0])
    for case in range(2):
        assert 97 <= sum(int(one[case]) for one in (*shares, inputs)) <= 103
    text = " ".join(bench.stdout.split())
    assert "warning few-launches, keras/default, 1 launch finished; use more launches" in text
    assert "OMP_DYNAMIC was true and is not set in the worker" in text
    (folder,) = (tmp_path / "results").iterdir()
    assert folder.name.endswith("-small-roofline")
    assert f"Results: {folder.relative_to(tmp_path)}" in bench.stdout
    for case, bound in zip(("default", "cached"), bounds.split()[2:], strict=True):
        share = "takes|it waits for images for"
        assert re.search(rf"keras/{case} is bound by {bound}: .*({share}) \d+ % of a step\. What to do: ", text), text
    file = folder / roofline_file.FILE
    stored = json.loads(file.read_text())
    assert stored["environment"]["variables"]["OMP_NUM_THREADS"]
    default, cached = stored["tasks"][0]["cases"]
    assert (default["bound"]["name"], cached["bound"]["name"]) == tuple(bounds.split()[2:])
    assert len(default["seconds"]["pipeline"][0]) == 2, "one launch of two rounds"
    assert {"few-launches", "variable-not-obeyed"} <= {warning["name"] for warning in default["warnings"]}
    with Bench("show", cwd=tmp_path, **surroundings) as shown:
        assert shown.end() == 0, shown.stderr
    printed = bench.stdout[bench.stdout.index("Work of a step") : bench.stdout.index("Results: ")]
    assert shown.stdout == printed, "everything is made again from the file alone"
    file.write_text(file.read_text().replace('"cpu"', '"cpu:0"', 1))
    with Bench("show", folder, cwd=tmp_path) as refused:
        assert refused.end() == 2
    assert refused.stderr.endswith("so it was changed after it was measured: run bench roofline again\n")


def test_a_worker_that_dies_is_reported_and_the_others_have_their_tables(tmp_path):
    arguments = ("roofline", "--suite", suite_file(tmp_path), "--launches", 1, "--rounds", 2)
    backends = ("--backend", "keras", "--backend", "pytorch")
    with Bench(*arguments, *backends, cwd=tmp_path, PLANTED_PYTORCH="raise in build") as bench:
        assert bench.end() == 1
    assert "pytorch/default died: ValueError: planted: raised in build" in bench.stdout
    assert lines(bench.stdout, "keras/default")


def test_a_profile_prints_operations_and_writes_a_trace(tmp_path):
    arguments = ("profile", "keras", "--suite", suite_file(tmp_path), "--steps", 7)
    with Bench(*arguments, cwd=tmp_path, OMP_DYNAMIC="true") as bench:
        assert bench.end() == 0, bench.stderr[-2000:]
    warning = "warning variable-not-obeyed, keras/default, 1 of 1 launches: OMP_DYNAMIC was true and is not set"
    assert warning in " ".join(bench.stdout.split())
    assert "keras/default, cifar10-resnet18: 7 steps, host" in bench.stdout
    assert re.search(r"^ steps +1 .* 50\.0 % *$", bench.stdout, re.M)
    (file,) = (tmp_path / "results" / "profiles").iterdir()
    assert str(file.relative_to(tmp_path)) in bench.stdout
    assert [e["name"] for e in events(gzip.decompress(file.read_bytes()))] == ["steps", "product"]


def events(trace: bytes) -> list[dict]:
    """The complete events of a trace, each with the fields that Perfetto needs."""
    found = [e for e in json.loads(trace)["traceEvents"] if e["ph"] == "X"]
    for event in found:
        assert event["name"]
        assert event["ts"] >= 0
        assert event["dur"] >= 0
        assert {"pid", "tid"} <= event.keys()
    return found


@pytest.mark.parametrize(
    ("backend", "operation", "layers"),
    [
        ("pytorch", "aten::convolution", 16),
        ("keras", "_MklNativeConv2D", 16),  # of 20, because padding is fused into some, which have another name
        make_case("lightning", "lightning", "aten::convolution", 16),
        make_case("keras-torch", "keras-torch", "aten::convolution", 16),
        make_case("jax", "jax", "conv_general_dilated", 6),  # XLA computes others in kernels that it fuses
        make_case("keras-jax", "keras-jax", "conv_general_dilated", 6),
    ],
)
@pytest.mark.thorough
def test_a_real_frameworks_profile_shows_its_convolutions(tmp_path, backend, operation, layers):
    arguments = ("--suite", suite_file(tmp_path), "--threads", 1, "--steps", 3, "--output", "trace.json")
    with Bench("profile", f"{backend}/default", *arguments, cwd=tmp_path, REAL="yes", SHORT_WARMUP="yes") as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr[-2000:]
    assert operation in bench.stdout, bench.stdout
    found = [e for e in events((tmp_path / "trace.json").read_bytes()) if operation in e["name"]]
    assert len(found) >= 3 * layers


@pytest.mark.thorough
@pytest.mark.parametrize(
    "backend", ["tensorflow", *(make_case(name) for name in ("jax", "keras-jax", "keras-torch", "lightning"))]
)
def test_a_real_roofline_shows_what_bounds_a_step(tmp_path, backend):
    arguments = ("--suite", suite_file(tmp_path), "--threads", 1, "--launches", 1, "--rounds", 2)
    with Bench("roofline", "--backend", backend, *arguments, cwd=tmp_path, REAL="yes", SHORT_WARMUP="yes") as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr[-2000:]
    assert re.search(rf"^ bound by +{BOUND} *$", bench.stdout, re.M), bench.stdout
    (alone,) = lines(bench.stdout, "convolutions alone, ms")
    (device,) = lines(bench.stdout, "on the device, ms")
    assert float(alone.split()[-1]) > 0
    assert float(device.split()[-1]) > 0
