"""Tracks by what the outside calls them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, select

from storage.records import TrackFaces, TrackRecord
from storage.schema import BaseLayer, Camera, Codec, Face, Source, Track

Item = TypeVar("Item")
AT_ONCE = 500
"""Values in one question: databases bound how many it may carry."""


def some(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items in parts that one question can carry."""
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


def track_keys(connection: Connection, track_ids: Sequence[str]) -> dict[str, int]:
    """The keys of those tracks that are there, by their ids."""
    found: dict[str, int] = {}
    for part in some(list(track_ids)):
        found |= {row.id: row.key for row in connection.execute(select(Track.id, Track.key).where(Track.id.in_(part)))}
    return found


def track_records(connection: Connection, asked: Sequence[ColumnElement[bool]]) -> list[TrackRecord]:
    """The tracks that meet all conditions, in the order they began."""
    return list(_records(connection, asked).values())


def tracks_by_key(connection: Connection, keys: Sequence[int]) -> dict[int, TrackRecord]:
    """Those of the tracks that are there, by their keys: as many as one question can carry."""
    return _records(connection, [Track.key.in_(keys)])


def passing(connection: Connection, codec_id: str, after: int, limit: int) -> tuple[list[TrackFaces], int]:
    """(tracks with faces of the codec above the key `after`, of `limit` faces at most, the highest key of those)."""
    hidden = select(Camera.key).where(Camera.hidden)
    newest = (
        select(Face.key, Face.track_key)
        .join_from(Face, Track)
        .where(Face.key > after, Track.camera_key.not_in(hidden))
        .order_by(Face.key)
        .limit(limit)
    )
    rows = connection.execute(newest).all()
    found: list[TrackFaces] = []
    for part in some(sorted({row.track_key for row in rows})):
        records = tracks_by_key(connection, part)
        layers: defaultdict[int, list[Any]] = defaultdict(list)
        held = (
            select(Face.track_key, BaseLayer.payload, BaseLayer.checksum, Face.quality)
            .join_from(Face, BaseLayer)
            .join(Codec)
            .where(Face.track_key.in_(part), Codec.id == codec_id)
            .order_by(Face.track_key, Face.rank)
        )
        for row in connection.execute(held):
            layers[row.track_key].append(row)
        for key, shots in layers.items():
            columns = zip(*((row.payload, row.checksum, row.quality) for row in shots), strict=True)
            found.append(TrackFaces(records[key], *columns))
    return found, rows[-1].key if rows else after


def _records(connection: Connection, asked: Sequence[ColumnElement[bool]]) -> dict[int, TrackRecord]:
    shots: defaultdict[int, list[str]] = defaultdict(list)
    best_first = select(Face.track_key, Face.id).join(Track).where(*asked).order_by(Face.track_key, Face.rank)
    for track_key, face_id in connection.execute(best_first):
        shots[track_key].append(face_id)
    question = (
        select(
            Track.key,
            Track.id,
            Camera.name,
            Source.name,
            Source.id,
            Track.started_at,
            Track.ended_at,
            Track.detections,
            Track.identity_id,
        )
        .join_from(Track, Source)
        .join(Camera, Camera.key == Track.camera_key)
        .where(*asked)
        .order_by(Track.started_at, Track.id)
    )
    return {
        key: TrackRecord(id_, camera, source, source_id, began, ended, detections, identity_id, tuple(shots[key]))
        for key, id_, camera, source, source_id, began, ended, detections, identity_id in connection.execute(question)
    }
