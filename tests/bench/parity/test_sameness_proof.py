"""The verdict on made evidence: each check passes at its tolerance, fails above it, and names itself."""

from __future__ import annotations

import numpy as np
import pytest

from bench.parity import tolerances
from bench.parity.sameness_proof import add_fine_tune, prove
from bench.plan.task_table import TASKS

FROZEN, MOVING = TASKS["cifar10-resnet18"], TASKS["tutorial"]
STAGE = FROZEN.model_copy(update={"trainable": "last-stage"})
NONE = np.array([], dtype=str)
STATISTICS = np.array(["bn1.running_mean", "bn1.running_var"])


def evidence(moving: bool = False) -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(0)
    head = {"kernel": drawn.normal(size=(6, 3)), "bias": drawn.normal(size=3)}
    return {
        "weights_hash": np.array("aa"),
        "order_hash": np.array("bb"),
        "inputs": drawn.uniform(-1, 1, (2, 4, 4, 3)),
        "features": drawn.uniform(0, 1, (2, 6)),
        "logits": drawn.normal(size=(2, 3)),
        "loss": np.array(2.3),
        **{f"gradient_{part}": array * 2 for part, array in head.items()},
        "losses": drawn.uniform(1, 2, 5),
        **{f"head_{part}": array for part, array in head.items()},
        **{f"pipeline_{part}": array.copy() for part, array in head.items()},
        "pipeline_loss": np.array(1.5),
        **{f"statistic/{name}": drawn.uniform(1, 2, 4) for name in STATISTICS},
        "altered_weights": NONE,
        "altered_statistics": STATISTICS if moving else NONE,
        "statistics": STATISTICS,
    }


def failed(mine, reference=None, task=FROZEN, outcome=None) -> list[str]:
    proof = prove(mine, reference or evidence(task is MOVING), task, outcome)
    names = [check.name for check in proof.checks if not check.passed]
    assert (proof.status == "failed") == bool(names)
    assert not names or proof.reason.startswith(names[0])
    return names


@pytest.mark.parametrize("task", [FROZEN, MOVING], ids=lambda task: task.batch_norm)
def test_the_same_evidence_is_proven(task):
    mine = evidence(task is MOVING)
    proof = prove(mine, evidence(task is MOVING), task, None)
    assert (proof.status, proof.reason, proof.comparable) == ("proven", "", True)
    assert prove(mine, mine, task, None).status == "reference"


def test_without_a_reference_nothing_is_proven_and_nothing_comparable():
    proof = prove(evidence(), None, FROZEN, None)
    assert (proof.status, proof.comparable) == ("unproven", False)
    assert {check.name for check in proof.checks} == {"frozen", "frozen, statistics", "pipeline order"}


def test_features_that_were_kept_are_held_against_those_that_the_case_computes():
    mine = evidence()
    assert failed(mine | {"cached_features": mine["features"] * (1 + tolerances.FORWARD / 2)}) == []
    assert failed(mine | {"cached_features": mine["features"] * 1.01}) == ["cached features"]
    assert failed(mine | {"cached_features": mine["features"][::-1]}) == ["cached features"]


def decoding(levels: float = 0.0, swapped: bool = False, loss: float = 1.5, **others) -> dict[str, np.ndarray]:
    """Evidence of a case that decodes its images: with another pixel, another loss, and so another head."""
    given = np.random.default_rng(1).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    mine = evidence()
    own = {"own_kernel": mine["head_kernel"] * 1.01, "own_bias": mine["head_bias"] * 1.01, "own_loss": np.array(loss)}
    trained = {f"pipeline_{part}": own[f"own_{part}"] for part in ("kernel", "bias")}
    decoded = given[..., ::-1] if swapped else given + levels
    return {**mine, **own, **trained, "given": given, "decoded": decoded, "pipeline_loss": np.array(1.5), **others}


def test_an_input_pipeline_that_decodes_is_held_against_steps_on_what_it_decodes():
    assert failed(decoding(levels=1.5)) == []
    (check,) = [one for one in prove(decoding(levels=1.5), evidence(), FROZEN, None).checks if one.name == "decoding"]
    assert check.difference == 1.5
    assert check.detail == "grey levels of 255 on average, 2 at most, of 2 images that it decodes"
    assert failed(decoding(levels=2.5)) == ["decoding"]
    assert failed(decoding(swapped=True)) == ["decoding"]
    assert failed(decoding(loss=1.6)) == ["pipeline loss, decoded"]
    assert failed(decoding(pipeline_kernel=evidence()["head_kernel"])) == ["pipeline order"]


def test_below_fp32_adamw_may_move_single_weights_the_other_way():
    task = FROZEN.model_copy(update={"update_rule": "adamw"})
    reference, drawn = evidence(), np.random.default_rng(2)
    initial = {f"initial_{part}": reference[f"head_{part}"].copy() for part in ("kernel", "bias")}
    moves = {part: 0.1 * drawn.choice([-1.0, 1.0], initial[f"initial_{part}"].shape) for part in ("kernel", "bias")}
    flipped = {"kernel": moves["kernel"].copy(), "bias": moves["bias"]}

    def train(moves: dict[str, np.ndarray], factor: float = 1.0) -> dict[str, np.ndarray]:
        heads = {part: initial[f"initial_{part}"] + factor * move for part, move in moves.items()}
        trained = {f"{where}_{part}": head for part, head in heads.items() for where in ("head", "pipeline")}
        return {**reference, **initial, **trained}

    def find(mine: dict[str, np.ndarray], precision: str = "bf16") -> list[str]:
        checks = prove(mine, train(moves), task, None, precision).checks
        return [check.name for check in checks if not check.passed]

    flipped["kernel"][0, 0] *= 0.0  # one of 21 weights does not move: a fifth of the way
    assert find(train(flipped)) == []
    assert find(train(flipped), precision="fp32") == ["trajectory"]
    flipped["kernel"][0] *= -1.0
    assert find(train(flipped)) == ["trajectory"]
    assert find(train(moves, 2.0)) == find(train(moves, 0.5)) == find(train(moves, -1.0)) == ["trajectory"]


@pytest.mark.parametrize(
    ("backbone", "precision", "difference", "status"),
    [
        ("resnet18", "bf16", 0.03, "proven"),
        ("resnet18", "bf16", 0.06, "failed"),
        ("efficientnet_lite0", "bf16", 0.23, "proven"),  # at 96 px, on a CPU
        ("efficientnet_lite0", "bf16", 0.26, "failed"),
        ("efficientnet_lite0", "fp16", 0.06, "proven"),
        ("efficientnet_lite0", "fp32", 2e-4, "failed"),
    ],
)
def test_below_fp32_a_network_may_differ_as_far_as_it_amplifies_the_rounding_of_weights(
    backbone, precision, difference, status
):
    task = FROZEN.model_copy(update={"backbone": backbone})
    mine = evidence()
    mine["features"] = mine["features"] * (1 + difference)
    mine["cached_features"] = evidence()["features"] * (1 + 1.9 * difference)
    assert prove(mine, evidence(), task, None, precision).status == status


@pytest.mark.parametrize(
    ("array", "check", "tolerance"),
    [
        ("features", "features", tolerances.FORWARD),
        ("logits", "logits", tolerances.FORWARD),
        ("loss", "first loss", tolerances.FIRST_STEP),
        ("gradient_kernel", "first gradient", tolerances.FIRST_STEP),
        ("gradient_bias", "first gradient", tolerances.FIRST_STEP),
        ("losses", "losses", tolerances.TRAJECTORY),
        ("pipeline_loss", "pipeline loss", tolerances.TRAJECTORY),
    ],
)
def test_a_difference_is_relative_to_the_largest_reference_value(array, check, tolerance):
    def shifted(share: float) -> dict[str, np.ndarray]:
        made = evidence()
        largest = np.abs(made[array]).max()
        made[array] = made[array].copy()
        made[array].flat[0] += share * tolerance * largest
        return made

    assert failed(shifted(0.9)) == []
    assert failed(shifted(1.1)) == [check]


@pytest.mark.parametrize(
    ("rounding", "difference", "found"),
    [
        (0.0, 2e-4, ["features"]),
        (1e-5, 0.9e-4, []),
        (1e-5, 1.1e-4, ["features"]),
        (1e-4, 7e-4, []),
        (1e-4, 9e-4, ["features"]),
        (2e-3, 2e-4, ["features"]),
    ],
)
def test_a_network_may_differ_by_eight_times_what_the_reference_itself_loses(rounding, difference, found):
    """But for one with which the reference loses so much that nothing can be said."""
    reference, mine = evidence(), evidence()
    reference["exact_features"] = reference["features"][:1].copy()
    largest = np.abs(reference["exact_features"]).max()
    reference["exact_features"].flat[reference["exact_features"].argmax() - 1] += rounding * largest
    mine["features"] = mine["features"].copy()
    mine["features"].flat[0] += difference * np.abs(reference["features"]).max()
    assert failed(mine, reference) == found


def test_what_the_reference_loses_itself_may_be_lost_in_the_input_pipeline_too():
    mine = evidence()
    mine["pipeline_bias"] = mine["pipeline_bias"] * (1 + 5e-5)
    assert failed(mine) == ["pipeline order"]
    reference = evidence()
    reference["exact_features"] = reference["features"] * (1 + 1e-5)
    assert failed(mine, reference) == []


@pytest.mark.parametrize("part", ["kernel", "bias"])
def test_a_head_that_went_elsewhere_fails_the_trajectory(part):
    made = evidence()
    for name in (f"head_{part}", f"pipeline_{part}"):
        made[name] = made[name] * (1 + 2 * tolerances.TRAJECTORY)
    assert failed(made) == ["trajectory"]
    alone = evidence()
    alone[f"pipeline_{part}"] = alone[f"pipeline_{part}"] * (1 + 2 * tolerances.PIPELINE)
    assert failed(alone) == ["pipeline order"]


def test_inputs_are_compared_with_the_largest():
    made = evidence()
    largest = abs(made["inputs"]).max()
    assert failed(made | {"inputs": made["inputs"] + 0.9 * tolerances.INPUTS * largest}) == []
    assert failed(made | {"inputs": made["inputs"] + 1.1 * tolerances.INPUTS * largest}) == ["preprocessing"]


def test_resized_inputs_may_differ_by_the_rounding_of_an_interpolation():
    made, resized = evidence(), FROZEN.model_copy(update={"image_size": 64})
    largest = abs(made["inputs"]).max()
    assert failed(made | {"inputs": made["inputs"] + 0.9 * tolerances.INPUTS_RESIZED * largest}, task=resized) == []
    found = failed(made | {"inputs": made["inputs"] + 1.1 * tolerances.INPUTS_RESIZED * largest}, task=resized)
    assert found == ["preprocessing"]


@pytest.mark.parametrize(("hash_", "check"), [("weights_hash", "weights"), ("order_hash", "order")])
def test_other_weights_and_another_order_are_found_by_their_hashes(hash_, check):
    assert failed(evidence() | {hash_: np.array("cc")}) == [check]


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_not_finite_is_never_the_same(broken):
    made = evidence()
    made["logits"] = np.full_like(made["logits"], broken)
    assert failed(made) == ["logits"]


def test_another_shape_is_never_the_same():
    made = evidence()
    assert failed(made | {"losses": made["losses"][:-1]}) == ["losses"]


def test_frozen_means_frozen():
    assert failed(evidence() | {"altered_weights": np.array(["conv1.weight"])}) == ["frozen"]
    assert failed(evidence() | {"altered_statistics": STATISTICS[:1]}) == ["frozen, statistics"]


def test_in_batch_stats_every_statistic_has_to_move_and_to_the_same_place():
    assert failed(evidence(True) | {"altered_statistics": STATISTICS[:1]}, task=MOVING) == ["frozen, statistics"]
    made = evidence(True)
    made["statistic/bn1.running_var"] = made["statistic/bn1.running_var"] * (1 + 2e-4)
    assert failed(made, task=MOVING) == ["running statistics"]
    assert failed(made, task=FROZEN) == ["frozen, statistics"]


def outcome(wrong: int, differ: int = 0, images: int = 10_000) -> dict[str, np.ndarray]:
    """Predictions of which `wrong` are wrong, and `differ` of the wrong ones are wrong in another way."""
    labels = np.zeros(images, int)
    predictions = labels.copy()
    predictions[:wrong] = 1
    predictions[:differ] = 2
    kept = {"altered_weights": NONE, "altered_statistics": NONE, "statistics": STATISTICS}
    return {"labels": labels, "predictions": predictions, **kept}


def test_accuracy_may_differ_by_the_noise_of_the_test_set():
    """At 70 % of 10,000: 1.96 * sqrt(2 * 0.7 * 0.3 / 10000) = 1.27 %. Predictions may differ on 0.5 %."""
    near, far = outcome(3000 + 120), outcome(3000 + 135)
    assert "outcome" not in failed(evidence(), outcome=(near, outcome(3000)))
    assert "outcome" in failed(evidence(), outcome=(far, outcome(3000)))
    assert failed(evidence(True), task=MOVING, outcome=(near | _moved(), outcome(3000) | _moved())) == []


def test_frozen_predictions_agree_on_all_but_a_few_images():
    assert failed(evidence(), outcome=(outcome(3000, 50), outcome(3000))) == []
    assert failed(evidence(), outcome=(outcome(3000, 51), outcome(3000))) == ["predictions"]


def test_a_weight_that_changes_late_is_found_after_the_fine_tune():
    late = outcome(3000) | {"altered_weights": np.array(["fc.weight"])}
    assert failed(evidence(), outcome=(late, outcome(3000))) == ["frozen after fine-tune"]


def _trained(altered=STAGE.trained) -> dict[str, np.ndarray]:
    """Evidence of a task that trains the last stage too; the last tensor has no gradient to speak of."""
    drawn = np.random.default_rng(1)
    below = {f"{part}/{name}": drawn.normal(size=4) for part in ("gradient", "moved") for name in STAGE.trained}
    below[f"gradient/{STAGE.trained[-1]}"] = np.full(4, 1e-9)
    return evidence() | below | {"altered_weights": np.array(altered)}


def test_what_a_task_trains_has_to_move_and_to_the_same_place():
    def failed(mine) -> list[str]:
        return [check.name for check in prove(mine, _trained(), STAGE, None).checks if not check.passed]

    assert failed(_trained()) == []
    assert failed(_trained(STAGE.trained[1:])) == ["frozen, trained"]
    assert failed(_trained(STAGE.trained[:-1])) == [], "what has no gradient may stand still"
    assert failed(_trained((*STAGE.trained, "conv1.weight"))) == ["frozen"]
    for part, check, tolerance in (
        ("gradient", "first gradient below", tolerances.BACKBONE_GRADIENT["frozen"]),
        ("moved", "trajectory below", tolerances.BACKBONE_MOVEMENT),
    ):
        names = [f"{part}/{name}" for name in STAGE.trained]
        for share, expected in ((0.9, []), (1.1, [check])):
            off = {name: _trained()[name] * (1 + share * tolerance) for name in names}
            assert failed(_trained() | off) == expected
        made = _trained()
        del made[names[3]]
        assert failed(made) == [check], "a backend that leaves one out has not trained it"


def test_losses_may_differ_by_more_where_more_is_trained():
    made = _trained()
    made["losses"] = made["losses"] * (1 + 5 * tolerances.TRAJECTORY)
    assert not [check.name for check in prove(made, _trained(), STAGE, None).checks if not check.passed]
    assert failed(evidence() | {"losses": made["losses"]}) == ["losses"]


def test_adamw_with_the_batchs_statistics_may_move_weights_below_the_head_by_more():
    sgd = STAGE.model_copy(update={"batch_norm": "batch_stats"})
    adamw = sgd.model_copy(update={"update_rule": "adamw"})
    statistics = {"statistic/bn1.running_mean": np.ones(3), "altered_statistics": STATISTICS}

    def failed(task, movement: float, figures: float) -> list[str]:
        reference = _trained() | statistics
        off = {name: reference[name] * (1 + movement) for name in reference if name.startswith("moved/")}
        off |= {name: reference[name] * (1 + figures) for name in ("losses", "statistic/bn1.running_mean")}
        return [one.name for one in prove(reference | off, reference, task, None).checks if not one.passed]

    both = ["losses", "trajectory below", "running statistics"]
    assert failed(sgd, 0.08, 0.009) == both
    assert failed(adamw, 0.08, 0.009) == []
    assert failed(adamw, 0.5, 0.03) == both, "half the rate"


def _moved() -> dict[str, np.ndarray]:
    return {"altered_statistics": STATISTICS}


def test_a_fine_tune_of_a_later_launch_gives_the_same_proof_as_one_of_the_first():
    labels = np.arange(100) % 3
    frozen = {"altered_weights": NONE, "altered_statistics": NONE, "statistics": STATISTICS}
    right = {"labels": labels, "predictions": labels, **frozen}
    wrong = {**right, "predictions": (labels + 1) % 3}
    plain = prove(evidence(), evidence(), FROZEN, None)
    for mine, status in ((right, "proven"), (wrong, "failed")):
        later = add_fine_tune(plain, mine, right, FROZEN)
        assert later == prove(evidence(), evidence(), FROZEN, (mine, right))
        assert later.status == status
        assert add_fine_tune(later, mine, right, FROZEN) == later, "no check is there twice"
