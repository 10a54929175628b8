"""How the records of a run are grouped."""

from __future__ import annotations

from bench.analysis.launches import group_by_task
from tests.bench.example_records import record


def test_the_reference_is_the_same_in_whatever_order_the_records_come():
    records = [record(variant=variant, launch=launch) for launch in (1, 2) for variant in ("fp32", "tf32", "bf16")]
    for ordered in (records, records[::-1], sorted(records, key=lambda one: (one.launch, one.case))):
        (task,) = group_by_task(ordered)
        assert [case.label for case in task.cases] == ["pytorch/bf16", "pytorch/fp32", "pytorch/tf32"]
        assert [record.launch for record in task.cases[0].records] == [1, 2]
        assert task.reference("pytorch") is task.cases[0]
