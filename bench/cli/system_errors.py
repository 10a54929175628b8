"""The errors of the system that a user can remedy: no space, no access, a limit. Each is one line with the way out."""

from __future__ import annotations

import errno

from bench.measure.scratch_folder import make_no_folder_error

#: The ways out, by the error's number.
REMEDIES = {
    errno.EACCES: "choose another place, or ask for access",
    errno.EPERM: "choose another place, or ask for access",
    errno.EROFS: "choose a place that can be written",
    errno.ENOTDIR: "choose another path",
    errno.EISDIR: "choose another path",
    errno.ELOOP: "choose another path",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.EIO: "check the disk",
    errno.ESTALE: "mount the disk again",
    errno.EMFILE: "raise the limit, as in ulimit -n 4096",
    errno.ENFILE: "end other programs",
    errno.ENOMEM: "free memory",
    errno.EAGAIN: "end other programs, or raise the limit of processes (ulimit -u)",
}
#: How Python says that none of the folders for temporary files can be written.
NO_TEMPORARY_FOLDER = "usable temporary directory"
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


def describe_system_error(error: OSError) -> str | None:
    """Describe in one line what the system refused and what to do; None if a user cannot remedy it."""
    place = error.filename or "a file"
    if isinstance(place, bytes):
        place = place.decode(errors="replace")
    if error.errno in FULL_DISK:
        return f"the disk is full: {place} could not be written: free some space"
    if error.errno == errno.ENOENT and NO_TEMPORARY_FOLDER in (error.strerror or ""):
        return str(make_no_folder_error(error))
    if error.errno not in REMEDIES:
        return None
    return f"cannot use {place}: {error.strerror}: {REMEDIES[error.errno]}"
