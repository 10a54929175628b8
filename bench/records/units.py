"""Units of figures in records, tables and documents."""

from __future__ import annotations

#: Bytes in the MB of every column, table and document here: 2**20.
MB = 2**20
