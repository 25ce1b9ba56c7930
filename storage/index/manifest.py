"""The one file that says what an index holds: it is replaced as a whole, and what it does not name does not count."""

import json
import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from storage.index.segment import FileMark
from streamproc.errors import ArchiveNotFound, IndexDamaged

NAME = "manifest"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class SegmentMark:
    """A segment's file, and the file of marks on its removed rows, if there are any."""

    rows: FileMark
    removed: FileMark | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index holds. `position` is the caller's: how far it had come; `next_number` names the next file."""

    position: str
    next_number: int
    basis: FileMark
    segments: tuple[SegmentMark, ...]

    def names(self) -> set[str]:
        """All files that it names."""
        marks = [self.basis, *(mark for one in self.segments for mark in (one.rows, one.removed))]
        return {mark.name for mark in marks if mark is not None}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the index in the folder.

    Raises ArchiveNotFound where there is none, IndexDamaged for one that is not as it was written.
    """
    path = folder / NAME
    try:
        written = path.read_bytes()
    except FileNotFoundError as error:
        raise ArchiveNotFound(f"There is no search index in {folder}: build it from the archive.") from error
    checksum, _, body = written.partition(b"\n")
    if checksum != _checksum(body):
        raise IndexDamaged(f"The index file {path} does not match its checksum: build the index anew.")
    found = json.loads(body)
    if found["format"] != FORMAT:
        raise IndexDamaged(f"The index file {path} is of another format: build the index anew.")
    return Manifest(
        found["position"],
        found["next_number"],
        FileMark(**found["basis"]),
        tuple(
            SegmentMark(FileMark(**one["rows"]), None if one["removed"] is None else FileMark(**one["removed"]))
            for one in found["segments"]
        ),
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Nothing; from now on, the index in the folder is what the manifest says, after a power cut as well."""
    body = json.dumps({"format": FORMAT} | asdict(manifest)).encode()
    new = folder / f"{NAME}.new"
    with new.open("wb") as file:
        file.write(_checksum(body) + b"\n" + body)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / NAME)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _checksum(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)
