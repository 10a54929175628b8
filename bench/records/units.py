"""The units of memory sizes in tables, columns and documentation."""

from __future__ import annotations

#: Bytes in one MB, everywhere in this project: 2**20.
MB = 2**20
#: Bytes in one GiB, the unit of a machine's memory.
GIB = 2**30
