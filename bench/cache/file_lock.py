"""The lock on a file: one process at a time has it, and the system releases it when the process ends."""

from __future__ import annotations

import errno

try:
    import fcntl
except ImportError:  # Windows: there are no such locks
    fcntl = None  # type: ignore[assignment]

#: How a file system says that it has no locks, as some network file systems do.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)


def lock_file(descriptor: int, wait: bool) -> bool:
    """Lock an open file for this process; returns False, without a lock, if its file system has no locks.

    Args:
        descriptor: of the file.
        wait: wait until no other process has the lock.

    Raises:
        BlockingIOError: another process has it, and `wait` is False.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        raise
    return True
