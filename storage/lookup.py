"""Tracks and faces by what the outside calls them, and tracks by key."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, select

from storage.naming import TrackPlace, face_id, face_place, track_id, track_place
from storage.placement import unpack
from storage.recoded import recoding_key
from storage.records import TrackFaces, TrackRecord
from storage.schema import Camera, Codec, Face, RecodedLayer, Source, Track

Item = TypeVar("Item")
AT_ONCE = 500
"""Values in one question: databases bound how many it may carry."""


def some(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items in parts that one question can carry."""
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


def track_keys(connection: Connection, track_ids: Sequence[str]) -> dict[str, int]:
    """The keys of those tracks that are there, by their ids."""
    places = {name: place for name in track_ids if (place := track_place(name)) is not None}
    keys = _keys_of_places(connection, places.values())
    return {name: keys[place] for name, place in places.items() if place in keys}


def face_keys(connection: Connection, face_ids: Sequence[str]) -> dict[str, int]:
    """The keys of those faces that are there, by their ids."""
    places = {name: place for name in face_ids if (place := face_place(name)) is not None}
    tracks = _keys_of_places(connection, [track for track, _ in places.values()])
    faces: dict[tuple[int, int], int] = {}
    for part in some(list(tracks.values())):
        question = select(Face.track_key, Face.rank, Face.key).where(Face.track_key.in_(part))
        faces |= {(track, rank): key for track, rank, key in connection.execute(question)}
    found = {name: faces.get((tracks.get(track, -1), rank)) for name, (track, rank) in places.items()}
    return {name: key for name, key in found.items() if key is not None}


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
    recoding = recoding_key(connection, codec_id)
    found: list[TrackFaces] = []
    for part in some(sorted({row.track_key for row in rows})):
        records = tracks_by_key(connection, part)
        layers: defaultdict[int, list[Any]] = defaultdict(list)
        held = (
            select(Face.track_key, Face.payload, Face.checksum, Face.placement)
            .join_from(Face, Codec)
            .where(Face.track_key.in_(part), Codec.id == codec_id)
            .order_by(Face.track_key, Face.rank)
        )
        anew = (
            select(Face.track_key, RecodedLayer.payload, RecodedLayer.checksum, Face.placement)
            .join_from(RecodedLayer, Face)
            .where(Face.track_key.in_(part), RecodedLayer.recoding_key == recoding)
            .order_by(Face.track_key, Face.rank)
        )
        for question in (held, anew) if recoding else (held,):
            for row in connection.execute(question):
                layers[row.track_key].append((row.payload, row.checksum % 2**32, unpack(row.placement).quality))
        for key, shots in layers.items():
            found.append(TrackFaces(records[key], *zip(*shots, strict=True)))
    return found, rows[-1].key if rows else after


def _keys_of_places(connection: Connection, places: Iterable[TrackPlace]) -> dict[TrackPlace, int]:
    ordinals: defaultdict[str, set[int]] = defaultdict(set)
    for place in places:
        ordinals[place.source_id].add(place.ordinal)
    found: dict[TrackPlace, int] = {}
    for ids in some(sorted(ordinals)):
        sources = connection.execute(select(Source.id, Source.key).where(Source.id.in_(ids))).all()
        # Source by source: SQLite looks pairs of values up by the first of them alone.
        for source_id, source_key in sources:
            for part in some(sorted(ordinals[source_id])):
                question = select(Track.ordinal, Track.key).where(
                    Track.source_key == source_key, Track.ordinal.in_(part)
                )
                found |= {TrackPlace(source_id, row.ordinal): row.key for row in connection.execute(question)}
    return found


def _records(connection: Connection, asked: Sequence[ColumnElement[bool]]) -> dict[int, TrackRecord]:
    ranks: defaultdict[int, list[int]] = defaultdict(list)
    best_first = select(Face.track_key, Face.rank).join(Track).where(*asked).order_by(Face.track_key, Face.rank)
    for track_key, rank in connection.execute(best_first):
        ranks[track_key].append(rank)
    question = (
        select(
            Track.key,
            Track.ordinal,
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
        .order_by(Track.started_at, Source.id, Track.ordinal)
    )
    return {
        key: TrackRecord(
            track_id(source_id, ordinal),
            camera,
            source,
            source_id,
            began,
            ended,
            detections,
            identity_id,
            tuple(face_id(source_id, ordinal, rank) for rank in ranks[key]),
        )
        for key, ordinal, camera, source, source_id, began, ended, detections, identity_id in connection.execute(
            question
        )
    }
