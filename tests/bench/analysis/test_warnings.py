"""Every warning is raised by its own condition, with figures, and by nothing else."""

from __future__ import annotations

import pytest

from backends.task import Variant
from bench.analysis import warning_rules, warnings
from bench.records import process_flags
from bench.records.record import CachedFeatures, Record
from tests.bench.example_records import MB, QUIET, launches, record


def names(made: Record) -> list[str]:
    return [warning.name for warning in made.warnings]


def under(**changes: object) -> Record:
    return record().model_copy(update={"conditions": QUIET.model_copy(update=changes)})


def resolved(backend: str, **values: object) -> list[Record]:
    return [each.model_copy(update={"resolved": values}) for each in launches(backend, 4)]


def with_rounds(seconds: list[float], launch: int = 0, **changes: object) -> Record:
    made = record(launch=launch)
    return made.model_copy(update={"pipeline": made.pipeline.model_copy(update={"seconds": tuple(seconds), **changes})})


def with_features(problem: str) -> Record:
    found = CachedFeatures(hit=False, images=70, extraction_s=1.0, problem=problem)
    return record().model_copy(update={"features": found})


OF_LAUNCH = {
    "features-remade": lambda: with_features("the entry a.safetensors is damaged (cut off), it was made again"),
    "features-not-kept": lambda: with_features("features could not be kept in features (No space left on device)"),
    "offline-suite": lambda: record().model_copy(update={"about": {"run": {"banner": "no network"}}}),
    "warm-up-cap": lambda: with_rounds([1.0, 1.1, 1.0], warmup_capped=True),
    "busy-machine": lambda: under(other_cpu=0.06),
    "steal-time": lambda: under(steal=0.02),
    "cgroup-throttled": lambda: under(cgroup_throttled=3, quota=2.0),
    "thermal-throttled": lambda: under(thermal_throttled=1),
    "swapped": lambda: under(swapped=64 * MB),
    "memory-near-limit": lambda: under(memory_available=1000 * MB),
    "on-battery": lambda: under(battery=True),
    "governor": lambda: under(governor="powersave"),
    "few-cores": lambda: under(quota=1.5),
    "cores-shared": lambda: record().model_copy(update={"resolved": {"devices": 3, "cores": [[0], [1], [0]]}}),
    "resource-limit": lambda: under(limits={"RLIMIT_AS": 2**33}),
    "other-precision": lambda: record().model_copy(update={"resolved": {"precision": "bf16"}}),
    "knob-without-effect": lambda: _with_flags(
        "allocator", "hugepages", {process_flags.HUGE: "0", process_flags.CPUS: "2"}
    ),
    "variable-not-obeyed": lambda: record().model_copy(update={"disobeyed": {"OMP_NUM_THREADS": ("1", "2")}}),
    "untried-version": lambda: record().model_copy(update={"about": {"packages": {"torch": "99.0"}}}),
    "gpu-shared": lambda: under(gpu_processes=1),
    "gpu-clock": lambda: under(gpu_clock=1200, gpu_clock_most=1980),
    "drifting-rounds": lambda: with_rounds([1.0, 1.02, 1.04, 1.06, 1.08, 1.1]),
    "no-host-peak": lambda: record().model_copy(
        update={
            "memory": record().memory.model_copy(
                update={"host": tuple(p.model_copy(update={"peak": None}) for p in record().memory.host)}
            )
        }
    ),
    "host-peak-not-by-phase": lambda: record().model_copy(
        update={"memory": record().memory.model_copy(update={"resettable": False})}
    ),
}

OF_RUN = {
    "few-launches": lambda: launches("pytorch", 3),
    "outlier-launch": lambda: [
        *(record(launch=n, step_ms=5 + n / 100, noise=1e-6) for n in range(5)),
        record(launch=5, step_ms=6),
    ],
    "drifting-launches": lambda: [record(launch=n, step_ms=5 + n / 10, noise=1e-6) for n in range(6)],
    "bimodal-rounds": lambda: [with_rounds([1.0, 1.3, 1.001, 1.301, 1.002, 1.302], n) for n in range(4)],
    "frequency-changed": lambda: [
        each.model_copy(update={"conditions": QUIET.model_copy(update={"frequency": 2000.0 + 200 * each.launch})})
        for each in launches("pytorch", 4)
    ],
    "load-changed": lambda: [
        each.model_copy(update={"conditions": QUIET.model_copy(update={"other_cpu": 0.03 * each.launch})})
        for each in launches("pytorch", 4)
    ],
    "interval-too-wide": lambda: [
        each.model_copy(update={"about": {"run": {"until": 0.001, "relative_to": "pytorch"}}})
        for backend in ("pytorch", "keras")
        for each in launches(backend, 4)
    ],
    "threads-differ": lambda: [*resolved("pytorch", intra_op_threads=2), *resolved("keras", intra_op_threads=1)],
    "onednn-alone": lambda: [
        *resolved("pytorch", flags={"onednn": "on"}),
        *resolved("keras", flags={"onednn": "off"}),
    ],
    "tf32-alone": lambda: [*resolved("pytorch", flags={"tf32": "on"}), *resolved("keras", flags={"tf32": "off"})],
    "image-order-differs": lambda: _proof("order_hash"),
    "weights-hash-differs": lambda: _proof("weights_hash"),
}


def _with_flags(knob: str, value: str, flags: dict[str, str]) -> Record:
    return record().model_copy(update={"variant": Variant(**{knob: value}), "resolved": {"flags": flags}})


def _proof(field: str) -> list[Record]:
    other = [
        each.model_copy(update={"proof": each.proof.model_copy(update={field: "other"})})
        for each in launches("keras", 4)
    ]
    return [*launches("pytorch", 4), *other]


def test_a_launch_without_problems_raises_none():
    assert warnings.find_launch_warnings(record()) == ()
    assert [names(each) for each in warnings.add_run_warnings(launches("pytorch", 6))] == [[]] * 6


@pytest.mark.parametrize("name", OF_LAUNCH)
def test_a_launch_raises_its_warning(name):
    (found,) = warnings.find_launch_warnings(OF_LAUNCH[name]())
    assert found.name == name
    assert found.evidence
    assert found.advice == warning_rules.RULES[name][1]


@pytest.mark.parametrize("name", OF_RUN)
def test_a_run_raises_its_warning(name):
    made = warnings.add_run_warnings(OF_RUN[name]())
    assert {found for each in made for found in names(each)} == {name}
    assert warnings.add_run_warnings(made) == made, "a second call adds nothing"


def test_a_setting_of_the_variant_raises_no_warning():
    alone = OF_RUN["tf32-alone"]()
    intended = [
        r.model_copy(update={"variant": Variant(precision="tf32")}) if r.backend == "pytorch" else r for r in alone
    ]
    assert "tf32-alone" not in {found for each in warnings.add_run_warnings(intended) for found in names(each)}
    alone = OF_RUN["onednn-alone"]()
    intended = [
        r.model_copy(update={"variant": Variant(kernels="eigen")}) if r.backend == "keras" else r for r in alone
    ]
    assert "onednn-alone" not in {found for each in warnings.add_run_warnings(intended) for found in names(each)}


def test_every_rule_is_tested():
    assert set(OF_LAUNCH) | set(OF_RUN) == set(warning_rules.RULES)
    assert set(OF_RUN) == warning_rules.RUN_WARNINGS


def test_the_importance_of_every_warning_is_known():
    assert sorted(warning_rules.IMPORTANCE) == sorted(warning_rules.RULES)
