"""Names of the flags by which a record says what a worker's process really ran under."""

from __future__ import annotations

#: The allocator that is loaded, MB of anonymous memory in huge pages, CPUs that the main thread may use.
ALLOCATOR, HUGE, CPUS = "allocator in force", "MB in huge pages", "CPUs of the main thread"
