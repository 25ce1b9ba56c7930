"""Which tracks, oldest first, have something that may go: read a page at a time, without keeping anybody from writing.

Held tracks are none, nor those that a watch saw, nor those of exempt identities. What is told here is looked at again
in the transaction that removes it: it may have changed meanwhile.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TypeAlias

from sqlalchemy import Connection, func, select

from storage.holds import Hold
from storage.identity_schema import Sighting
from storage.lookup import track_keys
from storage.records import Removed
from storage.rules import Exempt
from storage.schema import EnhancementBlob, EnhancementLayer, Face, Track, Transaction

PAGE = 500
"""Tracks that are looked at in one question."""

Place: TypeAlias = tuple[datetime, int]
"""Where in a camera's tracks, by their start and key."""
BEGINNING: Place = datetime.min.replace(tzinfo=UTC), 0


class What(Enum):
    """What of a track goes."""

    PICTURES = "pictures"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A track that may lose its pictures, or go: what that would remove."""

    key: int
    camera: int
    started_at: datetime
    removes: Removed


@dataclass(frozen=True, slots=True)
class Asked:
    """Of which camera (key), `after` which place, and over before which time (None: any); whose pictures up to
    `pictures_gone` are gone, or as good as gone."""

    camera: int
    after: Place
    before: datetime | None
    pictures_gone: Place = BEGINNING


class Exemption:
    """Tells which tracks stay, by what is known at the moment: who is asked may have changed his mind."""

    def __init__(self, exempt: Callable[[], Exempt]) -> None:
        self._exempt = exempt
        self._known, self._keys = Exempt(), dict[int, bool]()

    def staying(self, connection: Connection, tracks: Iterable[tuple[int, str | None]]) -> set[int]:
        """Those of the tracks, (key, identity that a machine put it into), that stay; at most PAGE of them."""
        known = self._exempt()
        if known is not self._known:
            keys = track_keys(connection, list(known.tracks))
            self._known, self._keys = known, {keys[name]: stays for name, stays in known.tracks.items() if name in keys}
        rows = list(tracks)
        staying = {key for key, home in rows if self._keys.get(key, home in known.homes)}
        for column in (Hold.track_key, Sighting.track_key):
            found = select(column).where(column.in_([key for key, _ in rows])).distinct()
            staying |= set(connection.execute(found).scalars())
        return staying


Staying: TypeAlias = Callable[[Connection, Iterable[tuple[int, str | None]]], set[int]]
"""As `Exemption.staying`."""


def candidates(
    reading: Transaction, staying: Staying, what: What, asked: Sequence[Asked]
) -> Iterator[Candidate | None]:
    """Those of all cameras, oldest first; None now and then, where many were passed over."""
    streams = [_of_camera(reading, staying, what, one) for one in asked]
    for _, _, candidate in heapq.merge(*streams, key=lambda found: found[:2]):
        yield candidate


def _of_camera(
    reading: Transaction, staying: Staying, what: What, asked: Asked
) -> Iterator[tuple[datetime, int, Candidate | None]]:
    after = asked.after
    while True:
        with reading() as connection:
            page = select(Track.started_at, Track.key, Track.ended_at, Track.identity_id)
            page = page.where(Track.camera_key == asked.camera, Track.started_at >= after[0])
            page = page.where((Track.started_at > after[0]) | (Track.key > after[1]))
            if asked.before is not None:
                page = page.where(Track.started_at < asked.before)  # what the index knows
            rows = connection.execute(page.order_by(Track.started_at, Track.key).limit(PAGE)).all()
            over = {row.key: row for row in rows if asked.before is None or row.ended_at < asked.before}
            shown = [row.key for row in over.values() if (row.started_at, row.key) > asked.pictures_gone]
            goes = pictures_of(connection, shown)
            if what is What.ALL:
                goes = tracks_with(connection, list(over), goes)
            kept = staying(connection, [(key, over[key].identity_id) for key in goes])
        found = [row for key, row in over.items() if key in goes and key not in kept]
        for row in found:
            yield row.started_at, row.key, Candidate(row.key, asked.camera, row.started_at, goes[row.key])
        if len(rows) < PAGE:
            return
        after = rows[-1].started_at, rows[-1].key
        if not found:
            yield *after, None


def pictures_of(connection: Connection, keys: Sequence[int]) -> dict[int, Removed]:
    """What goes with the pictures of each of those tracks that have some; at most PAGE of them."""
    held = select(Face.track_key, func.count(), func.sum(func.length(EnhancementBlob.payload)))
    held = held.join_from(Face, EnhancementLayer, EnhancementLayer.face_key == Face.key)
    held = held.join(EnhancementBlob, EnhancementBlob.digest == EnhancementLayer.digest)
    rows = connection.execute(held.where(Face.track_key.in_(keys)).group_by(Face.track_key))
    return {key: Removed(pictures=count, bytes=int(size)) for key, count, size in rows}


def tracks_with(connection: Connection, keys: Sequence[int], pictures: dict[int, Removed]) -> dict[int, Removed]:
    """What goes with each of those tracks, at most PAGE, beside what goes with their pictures."""
    held = select(Face.track_key, func.count(), func.sum(func.length(Face.payload)))
    rows = connection.execute(held.where(Face.track_key.in_(keys)).group_by(Face.track_key))
    faces = {key: Removed(faces=count, bytes=int(size)) for key, count, size in rows}
    nothing = Removed()
    return {key: Removed(tracks=1) + faces.get(key, nothing) + pictures.get(key, nothing) for key in keys}
