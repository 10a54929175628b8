"""The unit of memory sizes in tables, columns and documentation."""

from __future__ import annotations

#: Bytes in one MB, everywhere in this project: 2**20.
MB = 2**20
