"""Names of the flags under which a record keeps the settings that a worker's process really ran with."""

from __future__ import annotations

#: The loaded allocator, MB of anonymous memory in huge pages, and CPUs that the main thread may use.
ALLOCATOR, HUGE, CPUS = "allocator in force", "MB in huge pages", "CPUs of the main thread"
