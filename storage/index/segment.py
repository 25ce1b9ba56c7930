"""A file of the index that never changes: rows by camera and time, mapped into memory, and marks on removed ones."""

import math
import mmap
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from storage.index.instructions import WORD
from storage.index.kernels import Bytes, Longs, Words, kept_rows
from storage.index.rows import Rows
from streamproc.errors import IndexDamaged

MAGIC = b"faceidx1"
HEAD = struct.Struct("<8sIIIIqqqq")
"""Magic, rows, dimensions, cameras, 0, least and highest key, least and highest track."""
ALIGNED = 64
WIDEST = 2**32
"""Keys of one segment, and tracks, lie closer together than this: they take four bytes each."""

EARLIEST, LATEST = -(2**63), 2**63 - 1

_Number = TypeVar("_Number", bound=np.generic)

NOTHING: Bytes = np.empty(0, np.uint8)
NOTHING.setflags(write=False)  # like what is mapped, so that the scan is compiled once


@dataclass(frozen=True, slots=True)
class FileMark:
    """A file of the index by name, its length and the CRC-32 of all its bytes."""

    name: str
    size: int
    checksum: int


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Rows of one file. Camera `cameras[c]` has the rows starts[c]..starts[c + 1], by time; keys and tracks are counted
    from the least, those of `key_span` and `track_span` (least, highest). `removed` has a bit a row, or is empty; it
    comes from the file `removed_mark`."""

    mark: FileMark
    key_span: tuple[int, int]
    track_span: tuple[int, int]
    cameras: npt.NDArray[np.int32]
    starts: Longs
    codes: Words
    vectors: Bytes
    times: Longs
    keys: npt.NDArray[np.uint32]
    tracks: npt.NDArray[np.uint32]
    removed: Bytes
    removed_mark: FileMark | None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def gone(self) -> int:
        """How many rows are marked as removed."""
        return int(np.unpackbits(self.removed).sum())

    def numbers_of(self, keys: Longs) -> Longs:
        """The numbers of the rows that have one of the keys, removed or not."""
        least, highest = self.key_span
        near = keys[(keys >= least) & (keys <= highest)] - least
        if not len(near):
            return np.empty(0, np.int64)
        return np.flatnonzero(np.isin(self.keys, near.astype(np.uint32)))

    def rows(self) -> Rows:
        """The rows that are not removed, copied."""
        cameras = np.repeat(self.cameras, np.diff(self.starts))
        keys = self.keys.astype(np.int64) + self.key_span[0]
        tracks = self.tracks.astype(np.int64) + self.track_span[0]
        every = Rows(keys, tracks, cameras, self.times, self.codes, self.vectors)
        return every.taken(~self.is_removed()) if len(self.removed) else every

    def is_removed(self) -> npt.NDArray[np.bool_]:
        """(N,) for each row whether it is marked."""
        if not len(self.removed):
            return np.zeros(len(self), np.bool_)
        return np.unpackbits(self.removed, count=len(self), bitorder="little").astype(np.bool_)

    def are_removed(self, rows: Longs) -> npt.NDArray[np.bool_]:
        """(K,) for each of the rows (K,) whether it is marked."""
        if not len(self.removed):
            return np.zeros(len(rows), np.bool_)
        found: npt.NDArray[np.bool_] = ((self.removed[rows >> 3] >> (rows & 7)) & 1).astype(np.bool_)
        return found

    def ranges(self, cameras: Sequence[int], since: int | None, until: int | None) -> Longs:
        """(R, 2): first row and row after the last of each run of rows at the cameras (none named: all) and since <=
        time < until."""
        if not cameras and since is None and until is None:
            return np.array([[0, len(self)]])
        ranges = np.empty((len(self.cameras), 2), np.int64)
        kept = kept_rows(
            self.times,
            self.cameras,
            self.starts,
            np.array(cameras, np.int32),
            EARLIEST if since is None else since,
            LATEST if until is None else until,
            ranges,
        )
        return ranges[:kept]


def write_segment(folder: Path, name: str, rows: Rows) -> Segment:
    """The segment of rows that are in order of camera and time, written to a new file and on the disk for good."""
    cameras, first = np.unique(rows.cameras, return_index=True)
    starts = np.append(first, len(rows)).astype(np.int64)
    key_span = int(rows.keys.min()), int(rows.keys.max())
    track_span = int(rows.tracks.min()), int(rows.tracks.max())
    head = HEAD.pack(MAGIC, len(rows), rows.vectors.shape[1], len(cameras), 0, *key_span, *track_span)
    columns = (
        cameras.astype(np.int32),
        starts,
        rows.codes,
        rows.vectors,
        rows.times,
        (rows.keys - key_span[0]).astype(np.uint32),
        (rows.tracks - track_span[0]).astype(np.uint32),
    )
    return read_segment(folder, write_file(folder, name, _aligned(head, columns)), trusted=True)


def marked(folder: Path, name: str, segment: Segment, gone: npt.NDArray[np.bool_]) -> Segment:
    """The segment with those rows marked as removed for which `gone` (N,) says so, by a new file of marks."""
    mark = write_file(folder, name, iter([np.packbits(gone, bitorder="little").data]))
    return remarked(folder, segment, mark)


def remarked(folder: Path, segment: Segment, mark: FileMark | None) -> Segment:
    """The segment with the marks of another file, none: with none. Raises what `read_segment` raises."""
    marks = NOTHING if mark is None else np.frombuffer(read_file(folder, mark), np.uint8)
    return replace(segment, removed=marks, removed_mark=mark)


def read_segment(folder: Path, mark: FileMark, trusted: bool = False) -> Segment:
    """The segment without marks, mapped from its file; every byte is held against the checksum, unless it is `trusted`.

    Raises IndexDamaged for bytes that are not those that were written, FileNotFoundError where there is no file.
    """
    whole = read_file(folder, mark, trusted)
    magic, rows, dimensions, cameras, _, *spans = HEAD.unpack_from(whole)
    if magic != MAGIC:
        raise IndexDamaged(f"The index file {folder / mark.name} is of another format: build the index anew.")
    at = ALIGNED

    def column(kind: type[_Number], *shape: int) -> npt.NDArray[_Number]:
        nonlocal at
        found = np.frombuffer(whole, kind, count=math.prod(shape), offset=at).reshape(shape)
        at += _padded(found.nbytes)
        return found

    return Segment(
        mark=mark,
        key_span=(spans[0], spans[1]),
        track_span=(spans[2], spans[3]),
        cameras=column(np.int32, cameras),
        starts=column(np.int64, cameras + 1),
        codes=column(np.uint64, dimensions // WORD, rows),
        vectors=column(np.uint8, rows, dimensions),
        times=column(np.int64, rows),
        keys=column(np.uint32, rows),
        tracks=column(np.uint32, rows),
        removed=NOTHING,
        removed_mark=None,
    )


def write_file(folder: Path, name: str, parts: Iterator[bytes | memoryview]) -> FileMark:
    """The new file's mark; its bytes are on the disk for good."""
    size, checksum = 0, 0
    with (folder / name).open("wb") as file:
        for part in parts:
            file.write(part)
            size += memoryview(part).nbytes
            checksum = zlib.crc32(part, checksum)
        file.flush()
        os.fsync(file.fileno())
    return FileMark(name, size, checksum)


def read_file(folder: Path, mark: FileMark, trusted: bool = False) -> mmap.mmap:
    """The file's bytes, mapped. Raises IndexDamaged and FileNotFoundError as `read_segment` does."""
    path = folder / mark.name
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size != mark.size:
            raise IndexDamaged(f"The index file {path} is not as long as it was written: build the index anew.")
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if not trusted and zlib.crc32(whole) != mark.checksum:
        raise IndexDamaged(f"The index file {path} does not match its checksum: build the index anew.")
    return whole


def _aligned(head: bytes, columns: Sequence[npt.NDArray[Any]]) -> Iterator[bytes | memoryview]:
    """The bytes of a file. Columns begin at multiples of 64, so that a row of vectors is one line of the cache."""
    yield head.ljust(ALIGNED, b"\0")
    for column in columns:
        yield np.ascontiguousarray(column).data.cast("B")
        yield bytes(_padded(column.nbytes) - column.nbytes)


def _padded(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED
