"""Attribution: a difference is assigned to the kernels, the layers above them, or the training loop."""

from __future__ import annotations

import pytest

import backends
from backends.task import Variant
from bench.errors import UserError
from bench.plan import suite
from bench.plan.plan import make_plan
from bench.plan.request import Request
from bench.records.record import Record
from bench.report.tables import Table, build_tables
from bench.report.tables.attribution_table import CHAIN, ON_ENGINES
from tests.bench.example_records import BROKEN, launches

OPERATIONS = Variant(name="tf_ops", graph="tf_ops")


def operations(**fields: object) -> list[Record]:
    made = launches("tensorflow", 6, variant="tf_ops", noise=1e-3, **fields)
    return [one.model_copy(update={"variant": OPERATIONS}) for one in made]


def attribution(*records: Record) -> Table | None:
    return next((table for table in build_tables(records) if table.title.startswith("Attribution")), None)


DEFAULTS = [
    *launches("pytorch", 6, step_ms=6.0, noise=1e-3),
    *launches("tensorflow", 6, step_ms=4.0, noise=1e-3),
    *launches("keras", 6, step_ms=4.0, noise=1e-3),
]


def test_each_part_is_what_changes_between_two_cases():
    shown = attribution(*DEFAULTS, *operations(step_ms=3.0))
    parts = {
        row[0].text: [float(cell.text.split()[0]) for cell in row[2:] if cell.text[0].isdigit()] for row in shown.rows
    }
    assert parts["the kernels"] == pytest.approx([2, 2], rel=0.01)
    assert parts["the layers above them"] == pytest.approx([0.75, 0.75], rel=0.01)
    assert parts["all together"] == pytest.approx([1.5, 1.5], rel=0.01)
    assert shown.notes[0] == (
        "compute: the difference comes from the kernels (× 2.00), then from the layers above them (× 0.75)"
    )
    loop = next(row for row in shown.rows if row[0].text == "the training loop")
    assert "keras/default over tensorflow/default" in loop[1].text
    assert all(cell.text.startswith(("no difference found", "1.00", "0.99")) for cell in loop[2:])


def test_without_one_of_the_cases_there_is_no_table():
    assert attribution(*DEFAULTS) is None
    assert attribution(*DEFAULTS[6:], *operations()) is None


def on_engines(*records: Record) -> Table | None:
    return next((table for table in build_tables(records) if table.title.startswith("Frameworks on")), None)


def test_a_framework_is_compared_with_its_engine_alone():
    others = [
        *launches("keras-torch", 6, step_ms=24.0, noise=1e-3),
        *launches("lightning", 6, step_ms=6.6, noise=1e-3),
    ]
    shown = on_engines(*DEFAULTS, *others)
    assert [row[0].text for row in shown.rows] == ["Keras on TensorFlow", "Keras on PyTorch", "Lightning"]
    assert "lightning/default over pytorch/default" in shown.rows[2][1].text
    ratios = {row[0].text: row[2].text for row in shown.rows}
    assert ratios["Keras on PyTorch"].startswith(("0.25 [", "0.250 ["))
    assert ratios["Lightning"].startswith(("0.90", "0.91"))
    assert shown.notes[0] == ("compute: the difference is certain for Keras on PyTorch (× 0.25), Lightning (× 0.91)")
    assert any(note.endswith("not in this run: Keras on JAX") for note in shown.notes)


def test_the_default_backends_alone_have_no_table_of_engines():
    assert on_engines(*DEFAULTS, *operations()) is None
    assert on_engines(*DEFAULTS[6:], *launches("lightning", 6), *launches("jax", 6)) is None


def test_with_all_engines_nothing_is_left_out():
    every = [
        *DEFAULTS,
        *(one for name in ("jax", "keras-jax", "keras-torch", "lightning") for one in launches(name, 6)),
    ]
    shown = on_engines(*every)
    assert len(shown.rows) == 4
    assert not any("left out" in note for note in shown.notes)


def test_a_case_that_is_not_proven_gives_no_figure():
    shown = attribution(*DEFAULTS, *operations(step_ms=3.0, proof=BROKEN))
    kernels, *_, together = shown.rows
    assert kernels[2].text.startswith("not comparable: the first step's loss differs")
    assert together[2].text.startswith(("1.49", "1.50"))


def test_the_suite_has_the_cases_of_all_parts_and_a_user_may_choose_others():
    named = suite.load("attribution").backends
    keys = {key for part in (*CHAIN, *ON_ENGINES) for key in (part.case, part.reference)}
    assert set(named) <= {backend for backend, _ in keys}
    installed = [name for name in named if not backends.find_missing_packages(name)]
    made = make_plan(Request(suite="attribution", launches=1))
    cases = [(backend, variant.name) for backend, variant in made.cases(made.tasks[0])]
    assert cases == [*((name, "default") for name in installed), ("tensorflow", "tf_ops")]
    assert not [case for case in made.skipped if "/" in case], "what one backend has is not missing in the others"
    alone = make_plan(Request(suite="attribution", backends=["pytorch"]))
    assert alone.cases(alone.tasks[0]) == [("pytorch", alone.default)]
    assert alone.skipped == {"tf_ops": "no backend here has it, only tensorflow"}
    with pytest.raises(UserError, match="no backend can run variant tf_ops: pytorch has no graph 'tf_ops'"):
        make_plan(Request(suite="attribution", backends=["pytorch"], knobs=["graph=tf_ops"]))
    only = suite.load("attribution").model_copy(update={"variants": ()})
    with pytest.raises(UserError, match=r"^variant tf_ops: no backend here has it, only tensorflow$"):
        make_plan(Request(suite=only, backends=["pytorch"]))
    own = make_plan(Request(suite="attribution", variants=["matched"]))
    assert [variant.name for variant in own.variants] == ["matched"]
    assert suite.load("standard").variants == ()
