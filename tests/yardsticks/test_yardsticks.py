"""The yardsticks train, and the targets can be shown."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import pytest

import backends
from bench.analysis.statistics import Interval
from bench.machine.environment import PROJECT
from tests.bench.processes import arithmetic
from tests.yardsticks import case, handwritten, variants
from tests.yardsticks.__main__ import _find_usable, make_parser
from tests.yardsticks.cached import Script
from tests.yardsticks.extraction_in_worker import convolutions
from tests.yardsticks.script_in_worker import Blocks, Over, get_script
from tests.yardsticks.target import Target

TRAINS = """
import sys
import numpy as np
from tests.yardsticks import {script} as script

rng = np.random.default_rng(0)
images, labels = rng.integers(256, size=(32, 32, 32, 3), dtype=np.uint8), rng.integers(10, size=32)
model = script.build()

def read():
    if hasattr(model, "get_weights"):
        return model.get_weights()
    if hasattr(model, "state_dict"):
        return [tensor.detach().clone().numpy() for tensor in model.state_dict().values()]
    return [np.array(leaf) for leaf in sys.modules["jax"].tree.leaves(sys.modules["flax"].nnx.state(model))]

before, ticks = read(), []
loss = script.train(model, images, labels, 4, 2, lambda: ticks.append(1))
same = [np.array_equal(a, b) for a, b in zip(before, read(), strict=True)]
print(loss, len(ticks), all(same[:-2]), any(same[-2:]), any(m in sys.modules for m in ("backends", "bench")))
"""


@pytest.fixture(scope="module")
def trained() -> dict[str, Future[str]]:
    """What each script printed; two at a time, for importing a framework is the dear part."""
    usable = [backend for backend in case.BACKENDS if not backends.find_missing_packages(backend)]
    with ThreadPoolExecutor(2) as pool:
        return {backend: pool.submit(_train, backend) for backend in usable}


def _train(backend: str) -> str:
    environment = {**os.environ, **backends.REGISTRY[backend].environment}
    return _python("-c", TRAINS.format(script=get_script(backend, "script")), environment=environment)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("backend", case.BACKENDS)
def test_a_script_trains_its_head_and_nothing_else_without_our_code(trained, backend: str) -> None:
    if missing := backends.find_missing_packages(backend):
        pytest.skip(f"{', '.join(missing)} not installed")
    loss, ticks, backbone_same, head_same, ours = trained[backend].result().split()[-5:]
    assert math.isfinite(float(loss))
    assert float(loss) > 0
    assert ticks == "16"
    assert backbone_same == "True"
    assert head_same == "False"
    assert ours == "False"


def test_blocks_end_where_the_course_says_and_then_the_script() -> None:
    ended = []

    def course():
        for block in (2, 3):
            yield block
            ended.append(block)

    tick = Blocks(course())
    for _ in range(4):
        tick()
    assert ended == [2]
    with pytest.raises(Over):
        tick()
    assert ended == [2, 3]


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        ((1.00, 0.99, 1.01), "reached"),
        ((0.99, 0.97, 1.01), "reached, not certain"),
        ((0.97, 0.95, 0.99), "missed, not certain"),
        ((0.90, 0.89, 0.91), "missed"),
        ((1.00, None, None), "reached, not certain"),
    ],
)
def test_a_verdict_follows_the_estimate_and_tells_its_doubt(figures, verdict) -> None:
    assert Target("ratio", Interval(*figures), least=0.98).verdict == verdict


def test_an_unmet_condition_is_missed_whatever_the_figure() -> None:
    assert Target("help", Interval(0.1, 0.1, 0.2), most=0.5, broken=True).verdict == "missed"


def test_what_has_no_bound_is_shown_without_a_target() -> None:
    target = Target("ratio", Interval(0.9, 0.8, 1.0))
    assert target.row == ("ratio", "0.900", "0.800 to 1.000", "–", "no target")


def test_the_fastest_variant_is_the_last_one_whatever_its_precision(monkeypatch) -> None:
    gains = {"default": 1.0, "product": 3.0, "bf16+product": 2.0}
    several = {"fp32": [case.variant(folding="product")], "bf16": [case.variant(precision="bf16", folding="product")]}
    monkeypatch.setattr(variants, "candidates", lambda backend: several)
    monkeypatch.setattr(variants, "compute_speedup", lambda launches, name, against: Interval(gains[name], None, None))
    extent = SimpleNamespace(quick=False, say=lambda line: None)
    found = variants.fastest("jax", lambda *_: SimpleNamespace(problems={}), extent)
    assert [one.name for one in found.values()] == ["bf16+product", "product"]


def test_a_backend_without_an_entry_has_no_candidates_and_its_default_stands_against_the_loop(monkeypatch) -> None:
    monkeypatch.setattr(variants, "OTHERS", {})
    monkeypatch.setattr(variants, "STARTING_POINTS", {})
    monkeypatch.setattr(variants, "_tuned", lambda backend: ())
    assert variants.candidates("jax") == {}
    monkeypatch.setattr(variants, "fastest", lambda *_: {})
    monkeypatch.setattr(handwritten, "CrewWorkers", lambda *_: SimpleNamespace(launch=None))
    extent = SimpleNamespace(say=None)
    assert handwritten.tuned("jax", None, extent) == case.variant()


def test_every_backend_has_a_script_and_a_fastest_loop() -> None:
    folder = PROJECT / "tests/yardsticks"
    names = [get_script(backend, kind) for backend in case.BACKENDS for kind in ("script", "fastest")]
    assert [name for name in names if not (folder / f"{name}.py").is_file()] == []


def test_a_backend_that_is_not_installed_is_left_out_and_named_where_it_was_asked_for(monkeypatch, capsys) -> None:
    missing = {"jax": ("flax",)}
    monkeypatch.setattr(backends, "find_missing_packages", lambda name: missing.get(name, ()))
    parser = make_parser()
    assert _find_usable(parser, None) == tuple(name for name in case.BACKENDS if name != "jax")
    with pytest.raises(SystemExit):
        _find_usable(parser, ["pytorch", "jax"])
    assert "not installed: jax needs flax" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.thorough
def test_the_targets_are_shown() -> None:
    shown = _python("-m", "tests.yardsticks", "--quick", "--only", "help")
    assert "bench --help" in shown
    assert "reached" in shown or "missed" in shown


@pytest.mark.slow
@pytest.mark.thorough
def test_the_heads_rate_is_measured_and_what_needs_real_images_says_so(tmp_path) -> None:
    environment = arithmetic({**os.environ, "HEADTOHEAD_HOME": str(tmp_path)})
    parts = ("--only", "head", "--only", "bf16", "--only", "accuracy")
    together = [option for backend in case.TOGETHER for option in ("--backend", backend)]
    shown = _python("-m", "tests.yardsticks", "--quick", *parts, *together, environment=environment)
    assert all(f"{backend}: head, images/s at batch 4" in shown for backend in case.TOGETHER)
    assert "points above fp32" not in shown
    assert all(f"{backend}: accuracy of embedded" in shown for backend in case.TOGETHER)
    assert "accuracy of embedded, points apart" in shown
    assert "cifar10-lite0" not in shown


def test_a_script_s_many_epochs_are_reckoned_from_the_two_that_were_run() -> None:
    assert Script(whole=110.0, training=100.0).of(20) == 110 + 9 * 100
    assert Script(whole=110.0, training=100.0).of(2) == 110


def test_the_places_of_a_backbones_convolutions_add_up_to_its_known_multiplications() -> None:
    """37,016,576 at 32 px with ten classes, of which the head has 5,120; 1,814,073,344 for ImageNet's thousand."""
    found = convolutions(case.TASK)
    assert sum(one.flops * times for one, times in found.items()) == 2 * (37_016_576 - 5_120)
    large = convolutions(case.task(image_size=224))
    assert sum(one.flops * times for one, times in large.items()) == 2 * (1_814_073_344 - 512_000)


def _python(*arguments: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
