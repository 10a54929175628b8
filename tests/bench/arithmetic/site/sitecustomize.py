"""With this folder in PYTHONPATH, the registry's backends are arithmetic; those in `$MISSING` lack a package."""

import os
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
