"""The distribution that brings the faulty backend, as `pip` would lay it out. The backend's module is not imported: it
makes warm-ups short, which is for workers.
"""

from __future__ import annotations

from pathlib import Path

NAME = "faulty"
DISTRIBUTION = "headtohead-faulty"
MODULE = "tests.bench.conformance.faulty_backend"


def install(folder: Path, entry: str = "", arguments: str = "('numpy',)", name: str = NAME) -> None:
    """Lay out a distribution in a folder, which is then put in PYTHONPATH.

    Args:
        entry: code at the beginning of the module with the entry.
        arguments: of the entry, after the module.
        name: of the entry point.
    """
    information = folder / f"{DISTRIBUTION.replace('-', '_')}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[headtohead.backends]\n{name} = faulty_entry:ENTRY\n")
    (folder / "mxnet.py").write_text("")
    (folder / "faulty_entry.py").write_text(
        f"{entry}\nfrom backends.registry import BackendEntry\nENTRY = BackendEntry({MODULE!r}, {arguments})\n"
    )
