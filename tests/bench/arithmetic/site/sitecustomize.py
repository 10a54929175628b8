"""With this folder in PYTHONPATH, all backends are arithmetic; those in `$MISSING` lack a package.

If `$REAL` is set, backends are the real ones. If `$SHORT_WARMUP` is set, blocks of a warm-up are a tenth as long;
rounds of `bench roofline` always are. `$SUITES` is a folder with other suites in place of the project's, and
a gate then decides after few launch pairs. `$OTHER_VERSION` is a package and the version that this node of several
claims to have, and with `$BROKEN_PEER` its peers cannot start. With `$JUMPING_CLOCK` the wall clock jumps by days at
every reading, forwards and backwards. `bench run` writes what its workers are doing into the file `$EVENTS`, a line an
event.
"""

import datetime
import itertools
import os
import sys
import time
from pathlib import Path

PROJECT = str(Path(__file__).parents[4])
#: The project is not on the path of a worker that runs another project's test.
IS_TARGET_WORKER = any(argument.endswith("target_worker.py") for argument in sys.orig_argv)

if IS_TARGET_WORKER:
    sys.path.insert(0, PROJECT)

import backends  # noqa: E402
from backends.registry import Registry  # noqa: E402

REAL = os.environ.get("REAL")

if not REAL:
    backends.REGISTRY = Registry(
        {
            name: backends.BackendEntry(
                f"tests.bench.arithmetic.{name.replace('-', '_')}",
                ("no_such_package",) if name in os.environ.get("MISSING", "").split() else ("numpy",),
                entry.extra,
                entry.title,
                several_devices=("cpu",),
                recipes=True,  # they train by their own arithmetic, whatever the recipe is
                augmentations=True,
            )
            for name, entry in backends.REGISTRY.own.items()
        }
    )

if os.environ.get("SHORT_WARMUP"):
    from bench.worker import warmup

    warmup.BLOCK_SECONDS /= 10

if "roofline" in sys.orig_argv:
    from bench.roofline import roofline_run

    roofline_run.ROUND_SECONDS /= 10

if suites := os.environ.get("SUITES"):
    from bench.gate import decision
    from bench.plan import suite

    suite.FOLDER = Path(suites)
    decision.DECISION_POINTS = (2, 3)

if os.environ.get("EVENTS") and {"-m", "bench", "run"} <= set(sys.orig_argv):
    from tests.bench import run_events

    run_events.write_events(Path(os.environ["EVENTS"]))

if os.environ.get("OTHER_VERSION") and "bench" in sys.orig_argv:
    from bench.measure import rendezvous

    other, version = os.environ["OTHER_VERSION"].split()
    real_version = rendezvous.read_version
    rendezvous.read_version = lambda name: version if name == other else real_version(name)

if os.environ.get("BROKEN_PEER") and "bench.worker.group.peer" in sys.orig_argv:
    print("ImportError: planted: a peer that cannot start", flush=True)
    os._exit(1)

if os.environ.get("JUMPING_CLOCK"):
    import pandas  # noqa: F401 - its compiled parts take no other datetime

    DAY = 86_400
    jumps = itertools.count()
    real_time = time.time

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return super().now(tz) + datetime.timedelta(days=(-3) ** (next(jumps) % 5))

    time.time = lambda: real_time() + DAY * (-3) ** (next(jumps) % 5)
    datetime.datetime = Jumping

if IS_TARGET_WORKER:
    sys.path.remove(PROJECT)
