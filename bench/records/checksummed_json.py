"""JSON files with a schema version and a checksum, so that a cut off or edited file is recognised."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from backends.task import STORED
from bench.records.plain_text import strip_escapes

Model = TypeVar("Model", bound=BaseModel)


def to_checksummed_json(kind: str, model: BaseModel) -> str:
    """Format a model as the file's text: `{"sha256": ..., KIND: content}`.

    Args:
        kind: what the content is: `record`, `baseline`, ...
        model: the content; it has a field `schema_version`.
    """
    content = model.model_dump(mode="json")
    return json.dumps({"sha256": compute_checksum(content), kind: content}, indent=1)


def parse_checksummed_json(kind: str, content: bytes, model: type[Model], schema: int) -> Model:
    """Parse and check the content of a file that `to_checksummed_json` made.

    Args:
        kind: what the content should be, as `to_checksummed_json` got it.
        content: the file's bytes.
        model: the pydantic class of the content.
        schema: the schema version that this version of the project reads.

    Raises:
        ValueError: the file is cut off, edited, of another kind or of another schema; the message says which.
    """
    try:
        envelope = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is cut off or not JSON") from None
    if not isinstance(envelope, dict) or not isinstance(envelope.get(kind), dict):
        raise ValueError(f"it holds no {kind}")
    body = envelope[kind]
    if compute_checksum(body) != envelope.get("sha256"):
        raise ValueError("its checksum does not fit, so it was changed after it was measured")
    version = body.get("schema_version")
    if isinstance(version, int) and version > schema:
        raise ValueError(f"its schema {version} is newer than the {schema} that this version reads")
    if isinstance(version, int) and version < schema:
        raise ValueError(f"its schema {version} is older than the {schema} that this version reads: measure again")
    try:
        return model.model_validate(_strip_all(body), context=STORED)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"it does not fit the schema: {where}: {first['msg']}") from None


def read_checksummed_folder(kind: str, folder: Path, model: type[Model], schema: int) -> tuple[list[Model], list[str]]:
    """Read all files of a folder, in the order of their names; also return a line for each that was left out.

    Args:
        kind, model, schema: see `parse_checksummed_json`.
        folder: the files' folder; one that does not exist has none.
    """
    found, problems = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(parse_checksummed_json(kind, path.read_bytes(), model, schema))
        except OSError as error:
            reason = f"it cannot be opened ({error.strerror or error}): ask for access, or copy it"
            problems.append(f"{folder.name}/{path.name} is left out: {reason}")
        except ValueError as error:
            problems.append(f"{folder.name}/{path.name} is left out: {error}")
    return found, problems


def _strip_all(content: Any) -> Any:
    """The content without the escape sequences of a terminal: the file may be somebody else's."""
    match content:
        case str():
            return strip_escapes(content)
        case dict():
            return {key: _strip_all(value) for key, value in content.items()}
        case list():
            return [_strip_all(value) for value in content]
    return content


def compute_checksum(content: dict[str, object]) -> str:
    """Compute the SHA-256 of the content; neither the order of its keys nor its spacing matter."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
