"""File kind: what is at a path, and what a file is by its first bytes, for messages that say why it cannot be used."""

from __future__ import annotations

from pathlib import Path

#: Enough for every signature below; that of a tar archive stands at byte 257.
HEAD_BYTES = 1024

#: First bytes, and what a file that starts with them is. Sources: the formats' specifications, and
#: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md.
SIGNATURES = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file itself (`git lfs pull` gets it)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras and TensorFlow write"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GGUF", "a GGUF file"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
)


def find_path_problem(path: Path) -> str | None:
    """Why neither a file nor a folder can be found at `path`, as «does not exist»; None if one is there."""
    try:
        path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            return f"is a link to {path.readlink()}, which does not exist"
        return "does not exist"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if path.is_dir() or path.is_file() else "is neither a file nor a folder"


def read_head(file: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as content:
        return content.read(HEAD_BYTES)


def describe_kind(head: bytes) -> str | None:
    """What a file is that starts with `head`, as «a web page (HTML)»; None if that is not known."""
    if not head:
        return "empty"
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[257:262] == b"ustar":
        return "a tar archive"
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return "a web page (HTML)"
    if text.startswith(b"{") and _is_text(head):
        return "a JSON file"
    return "a text file" if _is_text(head) else None


def _is_text(head: bytes) -> bool:
    return all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in head)
