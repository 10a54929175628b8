"""Sealed files: JSON with a schema version and a checksum, so that what was cut off or edited is told apart."""

from __future__ import annotations

import hashlib
import json
from typing import TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def seal(kind: str, model: BaseModel) -> str:
    """The file's text: the checksum, and under the name of its kind the content, which has a `schema_version`."""
    content = model.model_dump(mode="json")
    return json.dumps({"sha256": checksum(content), kind: content}, indent=1)


def unseal(kind: str, content: bytes, model: type[Model], schema: int) -> Model:
    """What a file holds.

    Args:
        kind: as it was sealed.
        model: of the content.
        schema: that this version reads.

    Raises:
        ValueError: in a few words, what is wrong with the file.
    """
    try:
        envelope = json.loads(content)
    except ValueError:
        raise ValueError("it is cut off or not JSON") from None
    if not isinstance(envelope, dict) or not isinstance(envelope.get(kind), dict):
        raise ValueError(f"it holds no {kind}")
    told = envelope[kind]
    if checksum(told) != envelope.get("sha256"):
        raise ValueError("its checksum does not fit, so it was changed after it was measured")
    version = told.get("schema_version")
    if isinstance(version, int) and version > schema:
        raise ValueError(f"its schema {version} is newer than the {schema} that this version reads")
    if isinstance(version, int) and version < schema:
        raise ValueError(f"its schema {version} is older than the {schema} that this version reads: measure again")
    try:
        return model.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"it does not fit the schema: {where}: {first['msg']}") from None


def checksum(content: dict[str, object]) -> str:
    """SHA-256 of the content, whatever the order of its keys and its spacing."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
