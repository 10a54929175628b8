"""The kinds of results in a folder of results; each kind has the subfolder of its records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

ResultKind = Literal["sweep", "gate", "tune", "explain", "roofline", "merge", "run --target", "run"]

#: The kind by the name of the subfolder. A gate against a baseline keeps its launches beside its verdicts, so a
#: folder with the records of a run comes last.
KINDS: Mapping[str, ResultKind] = MappingProxyType(
    {
        "combinations": "sweep",
        "verdicts": "gate",
        "tuned-variants": "tune",
        "explanations": "explain",
        "roofline": "roofline",
        "machines": "merge",
        "targets": "run --target",
        "records": "run",
    }
)
#: The subfolder by the kind.
FOLDERS: Mapping[ResultKind, str] = MappingProxyType({kind: folder for folder, kind in KINDS.items()})


def find_kind(result: Path) -> ResultKind | None:
    """Find the kind of a result by its subfolders; None if it has none of them."""
    return next((kind for folder, kind in KINDS.items() if (result / folder).is_dir()), None)
