"""Who is watched for, and when they were seen."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select

from storage.identity_schema import Sighting, Watch
from storage.lookup import some, track_keys, tracks_by_key
from storage.records import SightingRecord, TrackRecord, WatchRecord
from storage.schema import Transaction
from streamproc.errors import ArchiveError, UnknownRecord
from streamproc.types import FloatArray


class Watches:
    """The part of an archive that knows who is watched for."""

    def __init__(self, writing: Transaction, reading: Transaction) -> None:
        self._writing, self._reading = writing, reading

    def add_identity(self, name: str, identity: int, at: datetime) -> WatchRecord:
        """The watch for an identity, by number. ArchiveError for a name that another one has."""
        return self._add({"name": name, "began_at": at, "identity": identity})

    def add_photo(self, name: str, codec_id: str, feature: FloatArray, quality: float, at: datetime) -> WatchRecord:
        """The watch for the face of a photo, by its feature (D,) in a codec's terms. ArchiveError as above."""
        payload = np.asarray(feature, "<f4").tobytes()
        values = {"name": name, "began_at": at, "codec_id": codec_id, "feature": payload, "quality": quality}
        return self._add(values)

    def all(self) -> list[WatchRecord]:
        """Every watch, as they began."""
        with self._reading() as connection:
            return [_record(row) for row in connection.execute(select(Watch.__table__).order_by(Watch.key))]

    def remove(self, name: str) -> None:
        """Nothing; nobody watches for that one any more, and its sightings are gone. Raises UnknownRecord."""
        with self._writing() as connection:
            if not connection.execute(delete(Watch).where(Watch.name == name)).rowcount:
                raise UnknownRecord(f"There is no watch '{name}': `streamproc watch list` tells their names.")

    def sight(self, sightings: Sequence[tuple[int, str, float]], at: datetime) -> list[SightingRecord]:
        """Those sightings, (watch, track's id, probability), that are new: the same track is seen once by a watch."""
        with self._writing() as connection:
            keys = track_keys(connection, [track for _, track, _ in sightings])
            known = set()
            for part in some(list(keys.values())):
                held = select(Sighting.watch_key, Sighting.track_key).where(Sighting.track_key.in_(part))
                known |= {tuple(row) for row in connection.execute(held)}
            rows = [
                {"watch_key": watch, "track_key": keys[track], "raised_at": at, "probability": probability}
                for watch, track, probability in sightings
                if track in keys and (watch, keys[track]) not in known
            ]
            if not rows:
                return []
            newest = connection.execute(select(func.coalesce(func.max(Sighting.key), 0))).scalar_one()
            connection.execute(insert(Sighting), rows)
            return _sightings(connection, [Sighting.key > newest])

    def sightings(self, since: datetime | None = None) -> list[SightingRecord]:
        """What was noticed at `since` or later, in its order."""
        with self._reading() as connection:
            return _sightings(connection, [] if since is None else [Sighting.raised_at >= since])

    def _add(self, values: dict[str, Any]) -> WatchRecord:
        name = values["name"]
        with self._writing() as connection:
            if connection.execute(select(Watch.key).where(Watch.name == name)).first() is not None:
                raise ArchiveError(f"There is a watch '{name}' already: remove it first, or give another name.")
            connection.execute(insert(Watch).values(**values))
            return _record(connection.execute(select(Watch.__table__).where(Watch.name == name)).one())


def _record(row: Row[Any]) -> WatchRecord:
    feature = None if row.feature is None else np.frombuffer(row.feature, "<f4").astype(np.float32)
    return WatchRecord(row.key, row.name, row.began_at, row.identity, row.codec_id, feature, row.quality)


def _sightings(connection: Connection, asked: Sequence[ColumnElement[bool]]) -> list[SightingRecord]:
    question = (
        select(Sighting.track_key, Watch.name, Sighting.raised_at, Sighting.probability)
        .join_from(Sighting, Watch)
        .where(*asked)
        .order_by(Sighting.key)
    )
    rows = connection.execute(question).all()
    tracks: dict[int, TrackRecord] = {}
    for part in some([row.track_key for row in rows]):
        tracks |= tracks_by_key(connection, part)
    return [
        SightingRecord(row.name, tracks[row.track_key], row.raised_at, row.probability)
        for row in rows
        if row.track_key in tracks
    ]
