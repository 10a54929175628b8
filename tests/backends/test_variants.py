"""Every variant computes the same fine-tune, within its precision's tolerance; its knobs are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from backends import folding
from backends.convolutions import Geometry
from backends.exported.exported_backbone import is_exported
from backends.knobs import BELOW_THE_HEAD, KNOBS, check_variant, get_default, get_value
from backends.task import Variant
from backends.values import UnsupportedVariant
from bench.analysis.knob_effects import find_ineffective_knobs
from bench.parity.sameness_proof import prove
from bench.parity.tolerances import FORWARD, REDUCED_PRECISION
from tests.backends.sessions import OWN, make_case
from tests.backends.tasks import BUILDING, EXTRACTED, TASKS, VARIANTS, checkpoint_of

CASES = [make_case(backend, backend, title) for title, (_, backends, _) in VARIANTS.items() for backend in backends]

EXTRACTED_CASES = [make_case(backend, backend, title) for backend, titles in EXTRACTED.items() for title in titles]


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "title"), CASES)
def test_a_variant_is_proven_to_be_the_same_fine_tune(evidence, backend, title):
    name, _, variant = VARIANTS[title]
    reference = evidence.arrays("pytorch", name)
    cached = variant.features == "cached"
    proof = prove(evidence.arrays(backend, title), reference, TASKS[name], None, variant.precision, cached)
    assert (proof.status, proof.reason) == ("proven", "")
    assert ("top-1" in {one.name for one in proof.checks}) == (variant.precision in REDUCED_PRECISION)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "title"), EXTRACTED_CASES)
def test_every_form_of_extraction_computes_the_same_features_in_the_same_precision(evidence, backend, title):
    variant = VARIANTS[title][2]
    forms = evidence.facts(backend, f"{title} forms")
    others = {"tensorflow": {"compiled_frozen"}, "keras": {"compiled_frozen"}}
    on_torch = backend in ("pytorch", "lightning")
    assert set(forms) >= ({"onednn_graph", "torchscript"} if on_torch else others.get(backend, set()))
    for form in forms.values():
        assert form.pop("difference") <= REDUCED_PRECISION.get(variant.precision, FORWARD)
        assert form == {"precision": variant.precision, "threads": 1, "device": "cpu"}


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "title"), CASES)
def test_a_variant_is_resolved_to_its_knobs(evidence, backend, title):
    task, _, variant = VARIANTS[title]
    resolved = evidence.facts(backend, title)
    settings = {**resolved, **resolved["flags"]}
    expected = {knob: get_value(backend, variant, knob) for knob in KNOBS}
    if is_exported(TASKS[task].backbone) and backend in BUILDING:
        expected["graph"] = "exported"
    assert {knob: settings[knob] for knob in KNOBS} == expected
    compiles = get_value(backend, variant, "execution") == "xla" or resolved["framework"] == "jax"
    assert ("xla" in resolved["jit"]) == compiles


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "knobs", "lines"),
    [
        make_case(
            "pytorch", "pytorch", {"execution": "compiled"}, ["execution compiled: eager", "kernels onednn: aten"]
        ),
        make_case("jax", "jax", {}, ["execution compiled: eager"]),
        make_case(
            "lightning", "lightning", {"execution": "compiled"}, ["execution compiled: eager", "kernels onednn: aten"]
        ),
        make_case("keras-torch", "keras-torch", {}, ["kernels onednn: aten"]),
        make_case(
            "tensorflow",
            "tensorflow",
            {},
            ["execution compiled: eager", "autotune autotuned: heuristic", "kernels onednn: eigen"],
        ),
        make_case(
            "keras",
            "keras",
            {},
            ["execution compiled: eager", "autotune autotuned: heuristic", "kernels onednn: eigen"],
        ),
    ],
)
def test_what_is_in_force_in_place_of_a_knob_is_found(evidence, backend, knobs, lines):
    """Settings of the framework decide: no compiler, no oneDNN, no trial of convolutions."""
    resolved = evidence.facts(backend, "foreign settings")
    found = find_ineffective_knobs(backend, Variant(threads=1, **knobs), resolved, None)
    assert list(found) == [f"{line} is in force" for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "calls"),
    [
        make_case("keras", "keras", [1, 8, 8, 1, *[1] * 6]),
        make_case("tensorflow", "tensorflow", [1, *[4] * 4, 1, 4, 1, 1]),
        make_case("jax", "jax", [1, *[4] * 4, 1, 4, 1, 1]),
    ],
)
def test_calls_of_several_steps_make_exactly_the_requested_steps(evidence, backend, calls):
    found = evidence.facts(backend, "steps")
    assert found["calls"] == calls, "1, 17 and 6 steps"
    losses = found["losses"]
    means = [np.mean(losses[:1]), np.mean(losses[1:18]), np.mean(losses[18:])]
    np.testing.assert_allclose(found["means"], means, rtol=1e-5)
    assert all(found[f"rests after {steps}"] for steps in (1, 17, 6))
    assert found["the head is the same"]
    assert (found["one step more"], found["left over"]) == ("StopIteration", [])


@pytest.mark.slow
@pytest.mark.parametrize("backend", [make_case(name) for name in VARIANTS["folded bf16"][1]])
def test_bf16_is_really_computed_in_less_precision(evidence, backend):
    exact, rounded = (evidence.arrays(backend, name)["features"] for name in ("frozen", "folded bf16"))
    assert np.abs(exact - rounded).max() / np.abs(exact).max() > 10 * FORWARD


@pytest.mark.slow
def test_bf16_would_not_pass_for_fp32(evidence):
    mine, reference = evidence.arrays("keras", "folded bf16"), evidence.arrays("pytorch", "frozen")
    proof = prove(mine, reference, TASKS["frozen"], None)
    assert "features" in {check.name for check in proof.checks if not check.passed}


def test_rounding_is_to_the_nearest_bfloat16_ties_to_even():
    # 8 bits of significand: between 1 and 2 the steps are 2 ** -7.
    step = 2.0**-7
    values = np.array([1.0, 1 + 0.49 * step, 1 + 0.51 * step, 1 + 0.5 * step, 1 + 1.5 * step, -1 - 0.51 * step, 0.0])
    expected = np.array([1.0, 1.0, 1 + step, 1.0, 1 + 2 * step, -1 - step, 0.0], np.float32)
    assert np.array_equal(folding.round_to_bfloat16(values.astype(np.float32)), expected)


def test_values_that_float16_cannot_represent_are_refused_and_others_are_rounded():
    task = TASKS["frozen"]
    checkpoint = checkpoint_of(task)
    rounded = folding.prepare_tensors(task, checkpoint, Variant(precision="fp16", device="cuda"))
    kernel = rounded["conv1.weight"]
    assert np.array_equal(kernel, kernel.astype(np.float16))
    assert 0 < np.abs(kernel - checkpoint["conv1.weight"]).max() <= 2**-11 * np.abs(kernel).max()
    assert np.array_equal(rounded["bn1.weight"], checkpoint["bn1.weight"])
    large = {**checkpoint, "layer1.0.conv1.weight": checkpoint["layer1.0.conv1.weight"] * 1e7}
    with pytest.raises(UnsupportedVariant, match=r"cannot represent the values of layer1\.0\.conv1\.weight: use bf16"):
        folding.prepare_tensors(task, large, Variant(precision="fp16", device="cuda"))


def test_tf32_is_rounded_by_the_hardware():
    task = TASKS["frozen"]
    checkpoint = checkpoint_of(task)
    executed = folding.prepare_tensors(task, checkpoint, Variant(precision="tf32", device="cuda"))
    assert executed.keys() == checkpoint.keys()
    assert all(np.array_equal(tensor, checkpoint[name]) for name, tensor in executed.items())


@pytest.mark.parametrize(
    ("backend", "knobs"),
    [
        ("pytorch", {"precision": "tf32"}),
        ("keras", {"precision": "tf32"}),
        ("tensorflow", {"precision": "fp16"}),
        ("pytorch", {"execution": "cuda_graphs"}),
        ("pytorch", {"execution": "max_autotune"}),
        ("pytorch", {"execution": "reduce_overhead"}),
        ("pytorch", {"autotune": "autotuned"}),
    ],
)
def test_what_only_a_gpu_can_is_refused_on_a_cpu_and_allowed_on_one(backend, knobs):
    ((knob, value),) = knobs.items()
    with pytest.raises(UnsupportedVariant, match=f"{backend}'s {knob} '{value}' needs a GPU: use --device cuda"):
        check_variant(backend, Variant(**knobs), TASKS["frozen"])
    check_variant(backend, Variant(**knobs, device="cuda:1"), TASKS["frozen"])


def test_no_two_knobs_share_a_value_so_that_a_variant_is_known_by_its_values():
    values = [v for knob in KNOBS.values() for v in dict.fromkeys(v for of in knob.values.values() for v in of)]
    words = [value for value in values if not value.isdecimal()]
    assert sorted(set(words)) == sorted(words)


@pytest.mark.parametrize("task", ["frozen", "lite0"])
def test_every_convolution_is_folded_with_the_normalisation_behind_it(task):
    network = TASKS[task].network
    shapes = network.tensors()
    for convolution, norm in network.pair_convolutions_with_norms().items():
        assert len(shapes[f"{convolution}.weight"]) == 4
        assert shapes[f"{norm}.running_var"] == shapes[f"{convolution}.weight"][:1]
    assert 2 * len(network.pair_convolutions_with_norms()) == len({name.rpartition(".")[0] for name in shapes})


def test_folding_gives_what_convolution_and_normalisation_gave():
    """One output of a convolution is a product of its weights with some numbers; so is the folded one, and a bias."""
    task = TASKS["frozen"]
    checkpoint = checkpoint_of(task)
    folded = folding.fold_batch_norm(task.network, checkpoint)
    patch = np.random.default_rng(0).standard_normal(3 * 7 * 7)
    raw = checkpoint["conv1.weight"].reshape(64, -1).astype(np.float64) @ patch
    mean, variance = checkpoint["bn1.running_mean"], checkpoint["bn1.running_var"].astype(np.float64)
    normal = (raw - mean) / np.sqrt(variance + 1e-5) * checkpoint["bn1.weight"] + checkpoint["bn1.bias"]
    ours = folded["conv1.weight"].reshape(64, -1) @ patch + folded["conv1.bias"]
    np.testing.assert_allclose(ours, normal, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("side", "stride", "kernel"), [(1, 1, 3), (2, 1, 3), (2, 2, 3), (3, 2, 3), (3, 1, 5)])
def test_a_product_is_the_convolution_of_the_whole_map(side, stride, kernel):
    drawn = np.random.default_rng(0)
    weight, images = drawn.standard_normal((5, 4, kernel, kernel)), drawn.standard_normal((2, side, side, 4))
    product = folding.make_product_weights(weight, Geometry(side, stride))
    after, edge = -(-side // stride), kernel // 2
    padded = np.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    ours = (images.reshape(2, -1) @ product[:, :, 0, 0].T).reshape(2, after, after, 5)
    for y, x in np.ndindex(after, after):
        patch = padded[:, y * stride : y * stride + kernel, x * stride : x * stride + kernel]
        np.testing.assert_allclose(ours[:, y, x], np.einsum("nhwi,oihw->no", patch, weight), rtol=1e-9, atol=1e-12)


def test_products_are_made_where_the_map_is_no_larger_than_the_kernel():
    task, product = TASKS["frozen"], Variant(folding="product")
    assert list(folding.find_product_convolutions(task, product)) == [
        f"layer{name}"
        for name in ("3.0.conv2", "3.1.conv1", "3.1.conv2", "4.0.conv1", "4.0.conv2", "4.1.conv1", "4.1.conv2")
    ]
    assert folding.find_product_convolutions(task, Variant(folding="conv_bn")) == {}
    assert folding.find_product_convolutions(task.model_copy(update={"image_size": 224}), product) == {}
    assert folding.find_product_convolutions(TASKS["lite0"], product) == {}


def test_a_tensor_that_is_executed_as_it_should_be_stands_for_the_checkpoints_and_another_does_not():
    task = TASKS["frozen"]
    checkpoint = checkpoint_of(task)
    expected = folding.prepare_tensors(task, checkpoint, Variant(folding="conv_bn", precision="bf16"))
    now = {name: tensor.copy() for name, tensor in expected.items()}
    assert all(
        np.array_equal(t, checkpoint[n]) for n, t in folding.recover_checkpoint(now, expected, checkpoint).items()
    )
    now["layer1.0.conv2.bias"][3] += 1
    found = folding.recover_checkpoint(now, expected, checkpoint)
    assert [n for n in checkpoint if not np.array_equal(found[n], checkpoint[n])] == ["layer1.0.conv2.weight"]


def test_a_knob_that_was_left_alone_is_not_written_for_readers_that_do_not_know_it():
    assert Variant(threads=2).model_dump() == {
        "name": "default",
        "precision": "fp32",
        "features": "recomputed",
        "threads": 2,
        "device": "cpu",
    }


@pytest.mark.parametrize(
    ("knobs", "task", "line"),
    [
        ({"folding": "conv_bn"}, "batch_stats", "folding 'conv_bn' needs fixed statistics"),
        ({"features": "cached", "optimizer": "fused"}, "frozen", "only the head, on features: do not set optimizer"),
        (
            {"images": "resident", "workers": "4"},
            "frozen",
            "images 'resident' need no input pipeline: do not set workers",
        ),
        ({"images": "normalised", "prefetch": "4"}, "frozen", "images 'normalised' need no input pipeline"),
        ({"images": "normalised"}, "lite0", "which at 64 px are 64 times as many pixels: use images streamed"),
        (
            {"execution": "compiled_frozen"},
            "batch_stats",
            "turns statistics into constants, and batch norm 'batch_stats' moves",
        ),
        ({"execution": "onednn_graph"}, "batch_stats", "turns statistics into constants, and batch norm 'batch_stats'"),
        ({"gradients": "closed_form", "optimizer": "fused"}, "frozen", "have their own update: do not set optimizer"),
        ({"execution": "onednn_graph", "device": "cuda"}, "frozen", "is for CPUs: use execution torchscript"),
        ({"graph": "tf_ops"}, "batch_stats", "graph 'tf_ops' needs batch norm 'frozen' and precision fp32 or tf32"),
        ({"graph": "tf_ops", "precision": "bf16"}, "frozen", "graph 'tf_ops' needs batch norm 'frozen' and precision"),
        ({"graph": "tf_ops", "folding": "conv_bn"}, "frozen", "normalisations: do not set folding"),
        ({"workers": "0", "prefetch": "4"}, "frozen", "workers '0' prepare nothing ahead: do not set prefetch"),
    ],
)
def test_contradictory_knobs_are_refused(knobs, task, line):
    with pytest.raises(UnsupportedVariant, match=line):
        check_variant("tensorflow" if "graph" in knobs else "pytorch", Variant(**knobs), TASKS[task])


@pytest.mark.parametrize("knob", BELOW_THE_HEAD)
def test_what_makes_constants_of_the_backbone_is_refused_where_it_is_trained(knob):
    stage = TASKS["frozen"].model_copy(update={"trainable": "last-stage"})
    for backend in OWN:
        for value in KNOBS[knob].values[backend]:
            settings = {} if value == get_default(backend, knob) else {knob: value}
            variant = Variant(device="cpu" if value == "onednn_graph" else "cuda", **settings)
            check_variant(backend, variant, TASKS["frozen"])
            if value in BELOW_THE_HEAD[knob]:
                with pytest.raises(UnsupportedVariant, match=f"{knob} '{value}' is for a frozen backbone"):
                    check_variant(backend, variant, stage)
            else:
                check_variant(backend, variant, stage)


def test_a_backend_that_is_not_in_the_table_sets_no_knob():
    check_variant("mine", Variant(), TASKS["frozen"])
    with pytest.raises(UnsupportedVariant, match="mine has no layout 'nhwc'"):
        check_variant("mine", Variant(layout="nhwc"), TASKS["frozen"])


def test_every_value_of_the_table_is_one_that_a_variant_may_have_or_a_backends_own_default():
    for name, knob in KNOBS.items():
        for values in knob.values.values():
            for value in list(values)[1:]:
                assert getattr(Variant.model_validate({name: value}), name) == value
            assert all(values.values()), "each has its source"
