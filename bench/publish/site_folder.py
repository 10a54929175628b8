"""The folder of a site: only what has changed is written, and what is no longer part of the site is removed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bench.errors import UserError
from bench.records import store

#: Says which files of the folder are the site's, and what each was made from.
MANIFEST = "site.json"
INDEX = "index.html"
SCHEMA = 1


@dataclass
class SiteFolder:
    """A site on disk.

    Attributes:
        folder: where it is.
        identity: a UUID that stays the site's.
        before: for each file of the site as it was, what it was made from.
        now: the same of the site as it is to be.
        written: the files that were written.
    """

    folder: Path
    identity: str
    before: Mapping[str, str]
    now: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)

    def is_current(self, name: str, digest: str) -> bool:
        """Whether a file is there and was made from this; it then stays part of the site."""
        current = self.before.get(name) == digest and (self.folder / name).is_file()
        if current:
            self.now[name] = digest
        return current

    def write(self, name: str, content: str | bytes, digest: str = "") -> None:
        """Write a file if its content is another than before.

        Args:
            name: its address from the folder.
            content: text is written as UTF-8.
            digest: of what it was made from.

        Raises:
            UserError: the disk is full, or the folder is not writable.
        """
        path = self.folder / name
        data = content.encode(errors="replace") if isinstance(content, str) else content
        if not path.is_file() or path.read_bytes() != data:
            store.make_folder(path.parent)
            store.write_bytes(path, data)
            self.written.append(name)
        self.now[name] = digest

    def finish(self) -> list[str]:
        """Remove the files that are no longer part of the site, and write the manifest; returns what was removed.

        Raises:
            UserError: the folder is not writable.
        """
        removed = sorted(name for name in self.before if name not in self.now)
        for name in removed:
            (self.folder / name).unlink(missing_ok=True)
        content = {"schema_version": SCHEMA, "identity": self.identity, "files": dict(sorted(self.now.items()))}
        text = json.dumps(content, indent=1) + "\n"
        path = self.folder / MANIFEST
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            store.write_text(path, text)
        return removed


def open_site(folder: Path) -> SiteFolder:
    """Open a folder for a site; a new one is made.

    Raises:
        UserError: it cannot be made, or holds a page that is not of such a site.
    """
    store.make_folder(folder)
    store.check_writable(folder / MANIFEST)
    content = _read_manifest(folder / MANIFEST)
    if content is None and (folder / INDEX).exists():
        raise UserError(f"{folder / INDEX} is not a page of bench publish: give an empty folder, or remove the file")
    if content and content.get("schema_version") != SCHEMA:
        raise UserError(
            f"{folder / MANIFEST} is not of this version of bench publish: give an empty folder, or remove the file"
        )
    files = content.get("files", {}) if content else {}
    known = {name: str(digest) for name, digest in files.items() if _is_ours(name)} if isinstance(files, dict) else {}
    identity = str(content.get("identity")) if content and content.get("identity") else str(uuid.uuid4())
    return SiteFolder(folder, identity, known)


def _read_manifest(path: Path) -> dict[str, object] | None:
    """Read the manifest; None if there is none, and empty if it is cut off."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {"content": content}


def _is_ours(name: str) -> bool:
    """Whether a manifest's name is one that a site has: an edited manifest must not remove another file."""
    parts = PurePosixPath(name).parts
    folders = parts[:-1]
    return (
        name == "/".join(parts)
        and ".." not in parts
        and folders in ((), ("runs",), ("history",))
        and (name in (INDEX, "feed.xml", "badge.svg") if not folders else name.endswith(".html"))
    )
