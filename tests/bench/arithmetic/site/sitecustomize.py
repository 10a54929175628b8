"""With this folder in PYTHONPATH, the registry's backends are arithmetic; those in `$MISSING` lack a package.

Where `$JUMPING_CLOCK` is set, every look at the clock on the wall finds it days off, to either side.
"""

import datetime
import itertools
import os
import time
from types import MappingProxyType

import backends

backends.REGISTRY = MappingProxyType(
    {
        name: backends.Entry(
            f"tests.bench.arithmetic.{name}",
            ("no_such_package",) if name in os.environ.get("MISSING", "").split() else ("numpy",),
            entry.extra,
        )
        for name, entry in backends.REGISTRY.items()
    }
)

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
