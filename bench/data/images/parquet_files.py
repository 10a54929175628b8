"""Images in Parquet files, as Hugging Face's `datasets` keep them: a column of encoded images, and one of labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.images.decoding import Undecoded
from bench.data.images.source import (
    TEST_NAMES,
    TRAIN_NAME,
    Part,
    Source,
    check_labels,
    choose_test_name,
    stat_file,
)
from bench.errors import UserError

#: Names of the column of labels, where several have integers.
LABELS = ("label", "labels", "fine_label")


def find_files(path: Path) -> list[Path]:
    """The Parquet files at a path: itself, or all below it, by name."""
    return sorted(path.rglob("*.parquet")) if path.is_dir() else [path]


def read_parquet(path: Path, files: Sequence[Path]) -> Source:
    """Read the labels of Parquet files; images are read where they are needed.

    The part of a file is the word that its name, or its folder's name, begins with, as `train-00000-of-00001.parquet`.

    Raises:
        UserError: pyarrow is not installed, a file is damaged, or the columns are others.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise UserError(
            f"{path}: Parquet needs pyarrow, which is not installed: pip install 'head-to-head[parquet]'"
        ) from None
    by_part: dict[str, list[Path]] = {}
    for file in files:
        by_part.setdefault(_find_part(path, file), []).append(file)
    for own in by_part.values():
        if len(folders := sorted({file.parent for file in own})) > 1:
            raise UserError(f"{path} has Parquet files in {folders[0]} and in {folders[1]}: give one of these folders")
    tested = choose_test_name(by_part)
    trained = by_part.get(TRAIN_NAME) or by_part.get("")
    if trained is None:
        raise UserError(f"{path} has {', '.join(by_part)}, and no train-….parquet: add it")
    train = _Rows(path, trained)
    test = _Rows(path, by_part[tested]) if tested else None
    labels = check_labels(path, train.label, train.labels)
    classes = int(labels.max()) + 1 if len(labels) else 0
    names = train.names if len(train.names) == classes else list(map(str, range(classes)))
    used = [*trained, *(by_part[tested] if tested else ())]
    others = sorted({*by_part} - {TRAIN_NAME, "", tested})
    return Source(
        path,
        "Parquet files",
        names,
        Part(labels, train.read, train.name),
        Part(check_labels(path, test.label, test.labels, classes), test.read, test.name) if test else None,
        [stat_file(file, str(file.relative_to(path)) if path.is_dir() else file.name) for file in used],
        [f"the images of {' and '.join(others)} are not read"] if others else [],
    )


def _find_part(path: Path, file: Path) -> str:
    """The part that a file belongs to; empty if its name does not say."""
    parts = (file.name, *(reversed(file.relative_to(path).parts[:-1]) if path.is_dir() else ()))
    for name in parts:
        word = name.removesuffix(".parquet").replace("_", "-").partition("-")[0]
        if word in (TRAIN_NAME, *TEST_NAMES):
            return word
    return ""


class _Rows:
    """The rows of some files: the labels of all, and the images of one group of rows at a time."""

    def __init__(self, path: Path, files: Sequence[Path]) -> None:
        self.names: list[str] = []
        self._groups: list[tuple[Path, int]] = []
        self._starts: list[int] = [0]
        self._held: tuple[int, Any] = (-1, None)
        labels = []
        self.image = self.label = ""
        for file in files:
            opened = _open(file)
            if not self.image:
                self.image, self.label = _find_columns(file, opened.schema_arrow)
                self.names = _read_class_names(opened.schema_arrow.metadata or {}, self.label)
            try:
                column = opened.read(columns=[self.label]).column(self.label)
            except (KeyError, OSError, ValueError) as error:
                raise _make_error(file, error) from None
            if column.null_count:
                raise UserError(f"{file}: {column.null_count:,} images have no {self.label}: leave them out")
            labels.append(column.to_numpy())
            for group in range(opened.num_row_groups):
                self._groups.append((file, group))
                self._starts.append(self._starts[-1] + opened.metadata.row_group(group).num_rows)
        self.labels = np.concatenate(labels)

    def read(self, index: int) -> Undecoded:
        """The encoded image of a row; no bytes where it has none.

        Raises:
            UserError: the file is damaged.
        """
        group, row = self._locate(index)
        if self._held[0] != group:
            file, number = self._groups[group]
            try:
                column = _open(file).read_row_group(number, columns=[self.image]).column(self.image)
            except (KeyError, OSError, ValueError) as error:
                raise _make_error(file, error) from None
            self._held = group, column
        found = self._held[1][row].as_py()
        return (found.get("bytes") if isinstance(found, dict) else found) or b""

    def name(self, index: int) -> str:
        """File and row, for people."""
        group, row = self._locate(index)
        first = next(at for at, (file, _) in enumerate(self._groups) if file == self._groups[group][0])
        return f"{self._groups[group][0].name}[{row + self._starts[group] - self._starts[first]}]"

    def _locate(self, index: int) -> tuple[int, int]:
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        return group, index - self._starts[group]


def _open(file: Path) -> Any:
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(file)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise _make_error(file, error) from None


def _make_error(file: Path, error: Exception) -> UserError:
    return UserError(f"{file} cannot be read ({str(error).splitlines()[0]}): replace it by a whole file")


def _find_columns(file: Path, schema: Any) -> tuple[str, str]:
    """The names of the columns with images and with labels.

    Raises:
        UserError: there is none, or there are several and none has a usual name.
    """
    from pyarrow import types

    def holds_images(kind: Any) -> bool:
        if types.is_struct(kind):
            return kind.get_field_index("bytes") >= 0
        return types.is_binary(kind) or types.is_large_binary(kind)

    found = {
        "images": [field.name for field in schema if holds_images(field.type)],
        "labels": [field.name for field in schema if types.is_integer(field.type)],
    }
    usual = {"images": ("image", "img"), "labels": LABELS}
    chosen = []
    for what, names in found.items():
        best = [name for name in usual[what] if name in names] or names
        if not best or (len(best) > 1 and best is names):
            columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
            raise UserError(
                f"{file} has {f'{len(names)} columns' if names else 'no column'} that may be its {what}, of {columns}: "
                "give a column image of encoded images, and a column label of integers"
            )
        chosen.append(best[0])
    return chosen[0], chosen[1]


def _read_class_names(metadata: dict[bytes, bytes], label: str) -> list[str]:
    """The names of the classes that Hugging Face's `datasets` write into a file; none if there are none."""
    try:
        return [str(name) for name in json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]]
    except (KeyError, TypeError, ValueError):
        return []
