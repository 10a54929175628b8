"""What `bench coverage` found, by family, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.coverage.coverage_record import CoverageRecord
from bench.parity.tolerances import MOST_ROUNDING
from bench.report.tables.table import Cell, Column, Table


def describe_network(record: CoverageRecord, engines: Sequence[str]) -> str:
    """One line: the network, and each backend's difference from PyTorch, or the reason for which there is none."""
    if record.error:
        return f"{record.name}: not exported: {record.error}"
    parts = [f"{record.parameters / 1e6:.1f} M parameters", f"{sum(record.kinds.values())} operations"]
    for engine in engines:
        found = record.evaluations[engine]
        if found.error:
            parts.append(f"{engine} failed: {found.error}")
        elif record.rounding > MOST_ROUNDING:
            parts.append(
                f"{engine} {found.difference:.0e}, which says nothing: PyTorch itself loses {record.rounding:.0e}"
            )
        else:
            more = "" if record.is_proven(engine) else f", more than {record.tolerance:.0e}: another network"
            parts.append(f"{engine} {found.difference:.0e}{more}")
    return f"{record.name}: {', '.join(parts)}"


def build_table(records: Sequence[CoverageRecord], engines: Sequence[str]) -> Table:
    """A row for each family of timm: networks, how many could be exported, how many each backend computes alike, the
    largest difference, and what PyTorch itself loses at most.
    """
    rows = []
    for family in sorted({one.family for one in records}):
        rows.append(_build_row(family or "unknown", [one for one in records if one.family == family], engines))
    rows.append(_build_row("all", records, engines))
    figures = ("networks", "exported", *engines, "largest difference", "PyTorch's rounding")
    columns = (Column("family", figures=False), *map(Column, figures))
    return Table("Networks that are proven to be the same", columns, tuple(rows), tuple(list_missing(records, engines)))


def _build_row(name: str, records: Sequence[CoverageRecord], engines: Sequence[str]) -> tuple[Cell, ...]:
    exported = [one for one in records if not one.error]
    counts = [len(records), len(exported)]
    counts += [sum(one.is_proven(engine) for one in records) for engine in engines]
    found = [one.evaluations[engine].difference for one in exported for engine in engines]
    largest = max((one for one in found if one is not None), default=None)
    rounding = max((one.rounding for one in exported), default=None)
    differences = ("" if one is None else f"{one:.0e}" for one in (largest, rounding))
    return (Cell(name), *(Cell(str(count)) for count in counts), *map(Cell, differences))


def list_missing(records: Sequence[CoverageRecord], engines: Sequence[str]) -> Iterator[str]:
    """A line for each reason for which networks are not proven, with their names."""
    reasons: dict[str, list[str]] = {}
    for record in records:
        if record.error:
            reasons.setdefault(f"not exported, {record.error}", []).append(record.name)
        for engine in engines if not record.error else ():
            found = record.evaluations[engine]
            if found.error:
                reasons.setdefault(f"{engine}: {found.error}", []).append(record.name)
            elif record.rounding > MOST_ROUNDING:
                reasons.setdefault("cannot be proven, PyTorch itself loses too much", []).append(record.name)
                break
            elif not record.is_proven(engine):
                reasons.setdefault(f"{engine}: other features", []).append(record.name)
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        yield f"{reason}: {', '.join(names)}"
