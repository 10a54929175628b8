"""Batch files: where CIFAR-10's six batches are, in a folder or in an archive, and what is there in their place."""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from bench.errors import UserError
from bench.machine.file_kind import describe_kind, find_path_problem, read_head

FOLDER, BINARY_FOLDER = "cifar-10-batches-py", "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = "test_batch"
NAMES = (*TRAIN, TEST)

#: The archives' names: the authors' two, and the one that Keras 2 gave to the first.
ARCHIVES = ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz", f"{FOLDER}.tar.gz")
#: How far below the given folder the published folder may be: Keras keeps it three folders below its own.
DEPTH = 3
#: The number of files that are looked at to say what a folder without CIFAR-10 is.
MOST_FILES = 20_000
WANTED = f"give the folder {FOLDER} or {BINARY_FOLDER}, one that it is in, or {ARCHIVES[0]} or {ARCHIVES[1]}"

#: What files with these endings are, in a folder that has no batches.
OTHER_FORMS: Mapping[str, str] = {
    ".png": "PNG images",
    ".jpg": "JPEG images",
    ".jpeg": "JPEG images",
    ".parquet": "Parquet files",
    ".arrow": "Arrow files",
    ".tfrecord": "TFRecord files",
    ".npz": "NumPy archives",
    ".npy": "NumPy arrays",
    ".h5": "HDF5 files",
    ".hdf5": "HDF5 files",
    ".mat": "MATLAB files",
    ".csv": "CSV files",
    ".zip": "zip archives",
}
HUNDRED = frozenset({"cifar-100-python", "cifar-100-binary", "cifar-100-python.tar.gz", "cifar-100-binary.tar.gz"})


@dataclass(frozen=True)
class BatchFiles:
    """The six batches.

    Attributes:
        path: the folder or the archive that they are in.
        binary: whether they are of the binary version.
        contents: of the batches of an archive, by name; empty for a folder.
    """

    path: Path
    binary: bool
    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> str:
        """The path's kind, for people."""
        return "archive" if self.contents else "folder"

    def get_file_name(self, name: str) -> str:
        """The name of a batch's file."""
        return f"{name}.bin" if self.binary else name

    def describe(self, name: str) -> str:
        """The path of a batch's file, for messages."""
        file = self.get_file_name(name)
        return f"{self.path}: {file}" if self.contents else str(self.path / file)

    def read(self, name: str) -> bytes:
        """The content of a batch's file.

        Raises:
            UserError: it cannot be read.
        """
        if self.contents:
            return self.contents[name]
        file = self.path / self.get_file_name(name)
        try:
            return file.read_bytes()
        except OSError as error:
            raise _make_unreadable_error(file, error) from None


def find_batch_files(path: Path) -> BatchFiles:
    """Find the batches in what the user gave: their folder, a folder above it, or their archive.

    Raises:
        UserError: they are not there; the line says what is.
    """
    if problem := find_path_problem(path):
        raise UserError(f"data folder {path} {problem}: {WANTED}")
    if not path.is_dir():
        return list_batch_files(path)
    try:
        is_empty = not any(path.iterdir())
    except OSError as error:
        raise _make_unreadable_error(path, error) from None
    incomplete: UserError | None = None
    for depth in range(DEPTH):
        folders = _list_folders(path, depth)
        published = [folder / name for name in (FOLDER, BINARY_FOLDER) for folder in folders]
        archives = [folder / name for name in ARCHIVES for folder in folders]
        # An archive of 170 MB takes longer to read than the folder beside it.
        for place in (*_choose(path, folders), *_choose(path, published), *filter(Path.is_file, archives)):
            try:
                return list_batch_files(place)
            except UserError as error:
                incomplete = incomplete or error
    if incomplete:
        raise incomplete
    raise UserError(f"{path} {'is empty' if is_empty else _describe_folder(path)}: {WANTED}")


def list_batch_files(path: Path) -> BatchFiles:
    """List the batches that are directly in a folder, or read those of an archive.

    Raises:
        UserError: some are missing or are another kind of file, or the archive is not CIFAR-10's.
    """
    if not path.is_dir():
        return _read_archive(path)
    try:
        names = {file.name for file in path.iterdir() if file.is_file()}
        files = BatchFiles(
            path, binary=names.isdisjoint(NAMES) and not names.isdisjoint(f"{name}.bin" for name in NAMES)
        )
        for file in map(files.get_file_name, NAMES):
            if file not in names:
                raise _make_missing_error(str(path / file), files.binary)
            kind = describe_kind(read_head(path / file))
            if kind not in (None, "a pickle", "a text file"):  # Python's first pickles are text
                raise UserError(f"{path / file} is {kind}: replace it by CIFAR-10's {file}")
    except OSError as error:
        raise _make_unreadable_error(path, error) from None
    return files


def _list_folders(path: Path, depth: int) -> list[Path]:
    """The readable folders that are `depth` below `path`."""
    below = islice(path.glob("*/" * depth), MOST_FILES) if depth else iter((path,))
    return sorted(folder for folder in below if os.access(folder, os.R_OK | os.X_OK) and folder.is_dir())


def _choose(path: Path, folders: Sequence[Path]) -> Sequence[Path]:
    """Those of `folders` that have a batch, those with a published name first.

    Raises:
        UserError: there are several, and nothing tells which one is meant.
    """
    files = [f"{name}{ending}" for name in NAMES for ending in ("", ".bin")]
    having = [folder for folder in folders if any((folder / file).exists() for file in files)]
    for name in (FOLDER, BINARY_FOLDER, None):
        named = [folder for folder in having if name in (None, folder.name)]
        if len(named) > 1:
            # Their content may differ.
            shown = " and ".join(str(folder.relative_to(path)) for folder in named[:2])
            raise UserError(f"{path} has CIFAR-10 {len(named)} times, in {shown}: give one of these folders")
        if named:
            return [*named, *(folder for folder in having if folder not in named)]
    return ()


def _read_archive(path: Path) -> BatchFiles:
    """Read the batches of a tar archive, whatever its compression.

    Raises:
        UserError: it has not all batches, is damaged, or is another kind of file.
    """
    found: dict[tuple[PurePosixPath, bool], dict[str, bytes]] = {}
    hundred = False
    try:
        head = read_head(path)
    except OSError as error:
        raise _make_unreadable_error(path, error) from None
    try:
        with tarfile.open(path) as members:
            for member in members:
                file = PurePosixPath(member.name)
                hundred |= not HUNDRED.isdisjoint(file.parts)
                name, binary = file.name.removesuffix(".bin"), file.suffix == ".bin"
                if name in NAMES and member.isfile() and (content := members.extractfile(member)):
                    found.setdefault((file.parent, binary), {})[name] = content.read()
    except EOFError:
        raise UserError(f"{path} is truncated: replace it by a complete one") from None
    except (tarfile.ReadError, zlib.error):
        raise _make_no_archive_error(path, head) from None
    except OSError as error:
        # gzip reports a wrong checksum as an OSError without a number.
        raise (_make_unreadable_error(path, error) if error.errno else _make_no_archive_error(path, head)) from None
    if not found:
        what = "CIFAR-100, not CIFAR-10" if hundred else "an archive without CIFAR-10's batches"
        raise UserError(f"{path} is {what}: {WANTED}")
    # An archive may have other files of these names elsewhere; the published folder counts first.
    preferred = {(PurePosixPath(FOLDER), False): 2, (PurePosixPath(BINARY_FOLDER), True): 1}
    place = max(found, key=lambda key: (len(found[key]), preferred.get(key, 0)))
    files = BatchFiles(path, place[1], found[place])
    for name in NAMES:
        if name not in files.contents:
            raise _make_missing_error(files.describe(name), files.binary)
    return files


def _make_no_archive_error(path: Path, head: bytes) -> UserError:
    """The error about a file that is no archive, or a damaged one."""
    if path.name.removesuffix(".bin") in NAMES:
        return UserError(f"{path} is one of CIFAR-10's six batches: give the folder that it is in")
    kind = describe_kind(head)
    if kind == "a pickle" and _mentions_fine_labels(path):
        kind = "CIFAR-100"
    if kind == "a gzip file":
        kind = "a gzip file that is damaged or has no tar archive in it"
    if kind == "a tar archive":
        return UserError(f"{path} is truncated or damaged: replace it by a complete one")
    return UserError(f"{path} is {kind or 'a file of an unknown kind'}, not CIFAR-10: {WANTED}")


def _make_missing_error(file: str, binary: bool) -> UserError:
    ending = ".bin" if binary else ""
    return UserError(
        f"{file} is missing: give a folder with {TRAIN[0]}{ending} to {TRAIN[-1]}{ending} and {TEST}{ending} "
        f"(or {BINARY_FOLDER if binary else FOLDER})"
    )


def _make_unreadable_error(path: Path, error: OSError) -> UserError:
    path = Path(error.filename or path)
    return UserError(f"{path} cannot be read ({error.strerror}): change its permissions, or give another folder")


def _describe_folder(path: Path) -> str:
    """What a folder without CIFAR-10 has instead, for people."""
    names: dict[str, str] = {}
    for file in islice(_iterate_files(path), MOST_FILES):
        parts = {path.name, *file.relative_to(path).parts}
        if not HUNDRED.isdisjoint(parts) or file.name in ("fine_label_names.txt",):
            return "has CIFAR-100, not CIFAR-10"
        if file.name in ("train", "test") and _mentions_fine_labels(file):
            return "has CIFAR-100, not CIFAR-10"
        ending = ".tfrecord" if ".tfrecord" in file.name else file.suffix.lower()
        if ending in OTHER_FORMS:
            names.setdefault(OTHER_FORMS[ending], str(file.relative_to(path)))
    if names:
        kind, example = next(iter(names.items()))
        return f"has {kind} ({example}), not CIFAR-10's batches"
    return "does not have CIFAR-10's batches"


def _mentions_fine_labels(file: Path) -> bool:
    """Whether a file may be CIFAR-100's, whose training images have 155 MB."""
    try:
        return file.stat().st_size < 2**28 and b"fine_labels" in file.read_bytes()
    except OSError:
        return False


def _iterate_files(path: Path) -> Iterator[Path]:
    """The files of a folder and of those up to `DEPTH` below it, from the top."""
    for depth in range(DEPTH + 1):
        yield from (file for file in sorted(islice(path.glob(f"{'*/' * depth}*"), MOST_FILES)) if file.is_file())
