"""Digests of files and folders, to find out whether two have the same content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def compute_digest(path: Path) -> str:
    """Compute the SHA-256 of a file, or of a folder's files and their names without byte code; 64 hex digits."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    result = hashlib.sha256()
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            result.update(os.fsencode(f"{file.relative_to(path)}\0") + hashlib.sha256(file.read_bytes()).digest())
    return result.hexdigest()
