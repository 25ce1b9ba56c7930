"""The search index: archived faces by the similarity of their features, camera and time; the one door in.

An index is a folder. Faces lie in segments, files that never change (`segment.py`); a manifest says which of them count
(`manifest.py`) and is replaced as a whole. One process writes, any number of them read what was flushed last.
"""

import fcntl
import io
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from storage.index.counting import TrackCounts
from storage.index.kernels import Longs
from storage.index.manifest import NAME, Manifest, SegmentMark, read_manifest, write_manifest
from storage.index.merging import Change, merged
from storage.index.question import Hits, evenly, most_similar
from storage.index.rows import Rows, packed
from storage.index.segment import FileMark, Segment, read_file, read_segment, remarked, write_file
from streamproc.errors import ArchiveError, IndexBusy, IndexDamaged
from streamproc.types import FloatArray

LOCK = "lock"
NONE: Longs = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """What was flushed last: the manifest, which file it was, the basis (D, F) and the segments."""

    manifest: Manifest
    version: tuple[int, int]
    basis: FloatArray
    segments: tuple[Segment, ...]


class VectorIndex:
    """Archived faces, found by the similarity of their features.

    Searching is for any thread; `add`, `remove` and what writes is for one at a time.
    """

    def __init__(self, folder: Path, state: _State, lock: BinaryIO | None) -> None:
        """Use `open` or `create`."""
        self._folder = folder
        self._state = state
        self._lock = lock
        self._loading = threading.Lock()
        self._added: list[Rows] = []
        self._removed: list[Longs] = []
        self._counts = TrackCounts()

    @classmethod
    def create(cls, folder: Path, basis: FloatArray) -> "VectorIndex":
        """A new, empty index in the folder, for writing; what index was there is gone.

        `basis` (D, F) float32, D a multiple of 64, has orthonormal rows: the space that features live in
        (`live_basis`). Raises IndexBusy while another process writes to it, ValueError for another basis.
        """
        dimensions = len(basis)
        if not dimensions or dimensions % 64 or not np.allclose(basis @ basis.T, np.eye(dimensions), atol=1e-4):
            raise ValueError("a basis has orthonormal rows, a multiple of 64 of them")
        folder.mkdir(parents=True, exist_ok=True)
        lock = _locked(folder)
        number = _free_number(folder)
        mark = _written_basis(folder, number, basis)
        write_manifest(folder, Manifest("", number + 1, mark, ()))
        return cls._of(folder, lock)

    @classmethod
    def open(cls, folder: Path, write: bool = False) -> "VectorIndex":
        """The index in the folder, as it was flushed last; every byte of it is held against its checksum.

        Raises ArchiveNotFound where there is none, IndexDamaged where a file is not what was written (`create` begins
        anew), IndexBusy for a writer while another process writes.
        """
        return cls._of(folder, _locked(folder) if write else None)

    @classmethod
    def _of(cls, folder: Path, lock: BinaryIO | None) -> "VectorIndex":
        try:
            state = _load(folder, None)
        except ArchiveError:
            if lock is not None:
                lock.close()
            raise
        index = cls(folder, state, lock)
        if lock is not None:
            index._sweep()
        return index

    def __enter__(self) -> "VectorIndex":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing; what was not flushed is forgotten, and another process may write."""
        self._added, self._removed = [], []
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def writes(self) -> bool:
        """Whether it was opened for writing."""
        return self._lock is not None

    @property
    def there(self) -> bool:
        """Whether the index is still in its folder: somebody may have taken it away."""
        return _version(self._folder) != (0, 0)

    @property
    def position(self) -> str:
        """How far the caller had come, in its own words, when it flushed last; empty at first."""
        return self._newest().manifest.position

    @property
    def faces(self) -> int:
        """Faces that a search without filters compares."""
        return sum(len(segment) - segment.gone for segment in self._newest().segments)

    @property
    def file_bytes(self) -> int:
        """Bytes of all files: as much memory as a search uses, once it has seen everything."""
        manifest = self._newest().manifest
        marks = [manifest.basis, *(mark for one in manifest.segments for mark in (one.rows, one.removed))]
        return sum(mark.size for mark in marks if mark is not None) + (self._folder / NAME).stat().st_size

    def search(
        self,
        feature: FloatArray,
        top: int = 10,
        cameras: Sequence[int] = (),
        since: int | None = None,
        until: int | None = None,
    ) -> Hits:
        """The `top` flushed faces that resemble `feature` (F,) of unit norm most, at the cameras (none named: all) and
        since <= time < until (microseconds); nearly always the very ones that comparing all would give.

        Raises ValueError for a `top` below 1 or another feature, IndexDamaged for new files that are not what was
        written.
        """
        if top < 1:
            raise ValueError(f"a search gives at least 1 face, not {top}")
        state = self._newest()
        return most_similar(state.segments, _coordinates(state.basis, feature), top, cameras, since, until)

    def sample(
        self,
        feature: FloatArray,
        count: int,
        cameras: Sequence[int] = (),
        since: int | None = None,
        until: int | None = None,
    ) -> FloatArray:
        """(K,) how much some flushed faces resemble `feature`: `count` of them at the most, evenly chosen among those
        that `search` compares. Raises what `search` raises."""
        state = self._newest()
        return evenly(state.segments, _coordinates(state.basis, feature), count, cameras, since, until)

    def tracks(self, cameras: Sequence[int] = (), since: int | None = None, until: int | None = None) -> int:
        """How many tracks the faces belong to that a search with these filters compares."""
        return self._counts.of(self._newest().segments, cameras, since, until)

    def add(
        self,
        keys: Longs,
        tracks: Longs,
        cameras: npt.NDArray[np.int32],
        times: Longs,
        features: FloatArray,
    ) -> None:
        """Nothing; N faces with keys that were never used, times in microseconds and features (N, F) of unit norm are
        found once they are flushed. Raises ValueError for features that lie outside the index's basis."""
        self._require_writer()
        if len(keys):
            self._added.append(packed(self._state.basis, keys, tracks, cameras, times, features))

    def remove(self, keys: Longs) -> None:
        """Nothing; the faces with these keys are not found any more from the next flush on. Unknown keys are none."""
        self._require_writer()
        keys = np.asarray(keys, np.int64)
        self._added = [kept for rows in self._added if len(kept := rows.taken(~np.isin(rows.keys, keys)))]
        self._removed.append(keys)

    def flush(self, position: str) -> None:
        """Nothing; what was added and removed is on the disk, found by all, and belongs to `position`: all of it or,
        when the process is killed meanwhile, nothing. Removed vectors stay in the files until `erase` or `compact`."""
        self._write(position, Change(tuple(self._added), self._gone(), NONE, thorough=False))
        self._added = []

    def erase(self, keys: Longs) -> None:
        """Nothing; the faces with these keys are gone from the files too, removed before or not. The position stays,
        and what was added since waits for the next flush."""
        self.remove(keys)
        self._write(self.position, Change((), self._gone(), np.asarray(keys, np.int64), thorough=False))

    def compact(self) -> None:
        """Nothing; no removed face is left in the files. The position stays, as with `erase`."""
        self._write(self.position, Change((), self._gone(), NONE, thorough=True))

    def _gone(self) -> Longs:
        return np.concatenate([NONE, *self._removed])

    def _write(self, position: str, change: Change) -> None:
        self._require_writer()
        state = self._state
        segments, number = merged(self._folder, state.segments, change, state.manifest.next_number)
        marks = tuple(SegmentMark(segment.mark, segment.removed_mark) for segment in segments)
        manifest = replace(state.manifest, position=position, next_number=number, segments=marks)
        if manifest != state.manifest:
            write_manifest(self._folder, manifest)
            self._state = _State(manifest, _version(self._folder), state.basis, segments)
        self._removed = []
        self._sweep()

    def _sweep(self) -> None:
        """Nothing; the index's files that the manifest does not name are gone. Whoever reads them still may go on."""
        for path in set(_numbered(self._folder)) - {self._folder / name for name in self._state.manifest.names()}:
            path.unlink()

    def _newest(self) -> _State:
        """The state that was flushed last; a reader looks whether there is a newer one."""
        if self._lock is None and _version(self._folder) != self._state.version:
            with self._loading:
                self._state = _load(self._folder, self._state)
        return self._state

    def _require_writer(self) -> None:
        if self._lock is None:
            raise ArchiveError(f"The search index {self._folder} was opened for reading: open it for writing.")


def _coordinates(basis: FloatArray, feature: FloatArray) -> FloatArray:
    """(D,) of a question (F,), by a basis (D, F). Raises ValueError for what is no feature."""
    if feature.shape != basis.shape[1:] or not np.all(np.isfinite(feature)):
        raise ValueError(f"a question is a feature of {basis.shape[1]} finite numbers")
    found: FloatArray = basis @ feature.astype(np.float32)
    return found


def _locked(folder: Path) -> BinaryIO:
    """The lock file, locked until it is closed or the process ends."""
    if not folder.is_dir():
        read_manifest(folder)  # says that there is none
    lock = (folder / LOCK).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise IndexBusy(f"Another process writes to the search index {folder}: end it first.") from error
    return lock


def _numbered(folder: Path) -> list[Path]:
    """All files but manifest and lock."""
    return [path for path in folder.iterdir() if path.stem.isdecimal()]


def _free_number(folder: Path) -> int:
    """Above those of all files there, so that no reader takes a new file for an old one."""
    return 1 + max((int(path.stem) for path in _numbered(folder)), default=0)


def _version(folder: Path) -> tuple[int, int]:
    """What tells one manifest from the next; (0, 0) where there is none."""
    try:
        status = os.stat(f"{folder}/{NAME}")
    except FileNotFoundError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def _load(folder: Path, before: _State | None) -> _State:
    """What was flushed last; segments that are held already are not read again."""
    while True:
        version = _version(folder)
        manifest = read_manifest(folder)
        held = {} if before is None else {segment.mark: segment for segment in before.segments}
        try:
            same = before is not None and before.manifest.basis == manifest.basis
            basis = before.basis if before is not None and same else _read_basis(folder, manifest.basis)
            segments = tuple(_segment(folder, one, held.get(one.rows)) for one in manifest.segments)
        except FileNotFoundError as error:
            if _version(folder) != version:
                continue  # a writer went on meanwhile
            raise IndexDamaged(f"The index file {error.filename} is missing: build the index anew.") from error
        return _State(manifest, version, basis, segments)


def _segment(folder: Path, mark: SegmentMark, held: Segment | None) -> Segment:
    segment = held or read_segment(folder, mark.rows)
    return segment if segment.removed_mark == mark.removed else remarked(folder, segment, mark.removed)


def _written_basis(folder: Path, number: int, basis: FloatArray) -> FileMark:
    file = io.BytesIO()
    np.save(file, basis.astype(np.float32), allow_pickle=False)
    return write_file(folder, f"{number}.basis", iter([file.getvalue()]))


def _read_basis(folder: Path, mark: FileMark) -> FloatArray:
    basis: FloatArray = np.load(io.BytesIO(read_file(folder, mark)[:]), allow_pickle=False)
    return basis
