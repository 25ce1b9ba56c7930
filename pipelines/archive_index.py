"""The search index of an archive: kept beside it, brought up to date by whoever comes first, made anew when lost."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from storage import Archive
from storage.feed import FaceChanges, FeedPosition
from storage.index import VectorIndex, live_basis
from storage.schema import microseconds
from streamproc.codec.calibration import SAMPLE
from streamproc.errors import ArchiveNotFound, FeedLost, IndexBusy, IndexDamaged
from streamproc.query.reader import Nearest
from streamproc.types import FloatArray

AT_ONCE = 50_000
"""Faces that are decoded at a time."""
DRAWN = 512
"""Made-up faces that tell in which dimensions features live."""
FACES_A_TRACK = 8
"""Faces that are asked for in place of a track: it has some shots, and its best one may be no better than others'."""
LEAST = 64
"""Faces that are asked for at least."""


class IndexedCodec(Protocol):
    """What an index needs of a codec; `streamproc.FaceCodec` is one."""

    @property
    def codec_id(self) -> str:
        """The name of its weights."""
        ...

    def features(self, base: Sequence[bytes], /) -> FloatArray:
        """(N, D) float32 of unit norm, decoded from N base layers."""
        ...

    def drawn_features(self, count: int, /) -> FloatArray:
        """(count, D) features of made-up faces that lie as others do."""
        ...


class ArchiveIndex:
    """The index of the faces that one codec wrote; a `FaceIndex` and a context manager. For one thread."""

    def __init__(self, archive: Archive, codec: IndexedCodec) -> None:
        self.archive, self._codec = archive, codec
        self.folder: Path = archive.index_folder / codec.codec_id
        self._index: VectorIndex | None = None

    def __enter__(self) -> Self:
        """The index itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Nothing; another process may bring the index up to date."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def catch_up(self, stay: bool = False) -> bool:
        """Whether the index now has all that the archive has; not where another process keeps it, or where the disk
        will not take it.

        One that is lost, damaged, or cannot follow the archive any more is made anew from the base layers. With `stay`
        this one keeps it from now on, until it is closed.
        """
        try:
            kept = self._kept()
            index = kept if kept is not None and kept.writes else self._opened(write=True) or self._new()
            try:
                self._follow(index)
            except (FeedLost, ArchiveNotFound, IndexDamaged):
                index.close()
                index = self._new()
                self._follow(index)
        except (IndexBusy, OSError):
            self.close()
            return False
        if not stay:
            self.close()
        return True

    def nearest(
        self, feature: FloatArray, wanted: int, cameras: Sequence[str], since: datetime | None, until: datetime | None
    ) -> Nearest:
        """See `FaceIndex`; what the index does not have yet, and cannot be given now, is compared face by face."""
        where = _Where.of(self.archive.camera_keys(cameras), since, until)
        best = _Best.none(max(LEAST, FACES_A_TRACK * wanted))
        sample = [np.empty(0, np.float32)]
        index, position = self._current()
        if index is not None and where.cameras != ():
            sample.append(index.sample(feature, SAMPLE, where.cameras or (), where.since, where.until))
            hits = index.search(feature, best.wanted, where.cameras or (), where.since, where.until)
            best = best.with_faces(hits.keys, hits.tracks, hits.similarities)
            best = replace(best, searched=index.tracks(where.cameras or (), where.since, where.until))
        for changes in self._changes(position):
            best = best.without(changes.removed)
            sound = [k for k in where.rows(changes) if zlib.crc32(changes.payloads[k]) == changes.checksums[k]]
            best = replace(best, damaged=best.damaged + len(where.rows(changes)) - len(sound))
            if sound:
                features = self._codec.features([changes.payloads[k] for k in sound])
                alike = features @ feature
                sample.append(alike)
                best = best.with_faces(changes.keys[sound], changes.tracks[sound], alike)
                best = replace(best, searched=best.searched + len(np.unique(changes.tracks[sound])))
        tracks = list(dict.fromkeys(best.tracks.tolist()))
        layers = self.archive.base_layers_of_tracks(self._codec.codec_id, tracks, since, until)
        others = self.archive.other_codec(self._codec.codec_id, cameras, since, until)
        layers = replace(layers, other_codec=others)
        return Nearest(layers, best.searched, best.damaged, np.concatenate(sample))

    def _current(self) -> tuple[VectorIndex | None, FeedPosition]:
        """The index, with all that the archive has if that can be, and how far it has come; None: there is none."""
        for fresh in (False, True):
            index = self._kept() or self._opened(write=False)
            if index is not None:
                try:
                    position = FeedPosition.parse(index.position)
                    news = self.archive.face_changes(self._codec.codec_id, position, 1)
                    if fresh or not (news.keys.size or news.removed.size):
                        return index, position
                except FeedLost:
                    self.close()
            if not fresh:
                self.catch_up(stay=index is not None and index.writes)
        return None, self.archive.beginning()

    def _follow(self, index: VectorIndex) -> None:
        """Nothing; the index has all that the archive has."""
        for changes in self._changes(FeedPosition.parse(index.position)):
            sound = [k for k, data in enumerate(changes.payloads) if zlib.crc32(data) == changes.checksums[k]]
            index.remove(changes.removed)
            if sound:
                features = self._codec.features([changes.payloads[k] for k in sound])
                index.add(
                    changes.keys[sound], changes.tracks[sound], changes.cameras[sound], changes.times[sound], features
                )
            index.flush(str(changes.position))

    def _changes(self, after: FeedPosition) -> Iterator[FaceChanges]:
        """What came and went in the archive after that."""
        while True:
            changes = self.archive.face_changes(self._codec.codec_id, after, AT_ONCE)
            if changes.position != after:
                yield changes
            if changes.end:
                return
            after = changes.position

    def _kept(self) -> VectorIndex | None:
        """The index that was opened before, if it is still there."""
        if self._index is not None and not self._index.there:
            self.close()
        return self._index

    def _opened(self, write: bool) -> VectorIndex | None:
        """The index on the disk; None where there is none that is of use. Raises IndexBusy."""
        self.close()
        try:
            self._index = VectorIndex.open(self.folder, write)
        except (ArchiveNotFound, IndexDamaged, OSError):
            return None
        return self._index

    def _new(self) -> VectorIndex:
        """An empty index in place of what is there. Raises IndexBusy, and OSError where none can be written."""
        self.close()
        self._index = VectorIndex.create(self.folder, live_basis(self._codec.drawn_features(DRAWN)))
        self._index.flush(str(self.archive.beginning()))
        return self._index


@dataclass(frozen=True, slots=True)
class _Where:
    """What a question is restricted to: cameras by key (None: all), times in microseconds."""

    cameras: tuple[int, ...] | None
    since: int | None
    until: int | None

    @classmethod
    def of(cls, cameras: tuple[int, ...] | None, since: datetime | None, until: datetime | None) -> Self:
        return cls(
            cameras, None if since is None else microseconds(since), None if until is None else microseconds(until)
        )

    def rows(self, changes: FaceChanges) -> list[int]:
        """Which of the faces that came are asked about."""
        asked = np.ones(len(changes.keys), np.bool_)
        if self.cameras is not None:
            asked &= np.isin(changes.cameras, self.cameras)
        if self.since is not None:
            asked &= changes.times >= self.since
        if self.until is not None:
            asked &= changes.times < self.until
        rows: list[int] = np.flatnonzero(asked).tolist()
        return rows


@dataclass(frozen=True, slots=True, eq=False)
class _Best:
    """The `wanted` faces found so far, the most similar first, of how many tracks; how many could not be read."""

    wanted: int
    keys: npt.NDArray[np.int64]
    tracks: npt.NDArray[np.int64]
    similarities: FloatArray
    searched: int = 0
    damaged: int = 0

    @classmethod
    def none(cls, wanted: int) -> Self:
        return cls(wanted, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))

    def with_faces(
        self, keys: npt.NDArray[np.int64], tracks: npt.NDArray[np.int64], similarities: FloatArray
    ) -> "_Best":
        """The best of these and of those found before."""
        every = np.concatenate([self.similarities, similarities])
        best = np.argsort(-every, kind="stable")[: self.wanted]
        return replace(
            self,
            keys=np.concatenate([self.keys, keys])[best],
            tracks=np.concatenate([self.tracks, tracks])[best],
            similarities=every[best],
        )

    def without(self, gone: npt.NDArray[np.int64]) -> "_Best":
        """Those that are still there."""
        left = ~np.isin(self.keys, gone)
        return replace(self, keys=self.keys[left], tracks=self.tracks[left], similarities=self.similarities[left])
