"""What is read from the archive, each answer from one state of it: the transaction of the connection handed in."""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, distinct, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from storage.naming import face_id, face_place, track_id
from storage.placement import unpack
from storage.records import ArchiveBytes, ArchiveInfo, CameraInfo, TrackRecord
from storage.schema import Camera, Codec, EnhancementBlob, EnhancementLayer, Face, Source, Track, captured_at
from storage.sqlite import index_bytes
from streamproc.errors import CorruptCode, UnknownRecord
from streamproc.types import BaseLayers, Clock, FaceCode, FaceRecord, GapRecord, Layer, SourceResult

_AT_ONCE = 500
"""Ids in one question: databases bound how many values a question may carry."""


def source_result(row: Row[Any], camera: str) -> SourceResult:
    """What the ingest of the source in `row` came to."""
    return SourceResult(
        camera=camera,
        source=row.name,
        frames=row.frames,
        corrupt=row.corrupt,
        detections=row.detections,
        tracks=row.tracks,
        archived=row.archived,
        seconds=row.seconds,
        error=row.error,
        clock=_clock(row.clock),
    )


def _clock(word: str | None) -> Clock | None:
    return None if word is None else Clock(word)


def completed_source(connection: Connection, camera: str, content_hash: str, codec_id: str) -> SourceResult | None:
    """What the ingest that completed this content at this camera in this codec came to; None when none did."""
    found = (
        select(Source.__table__)
        .join_from(Source, Camera, Source.camera_key == Camera.key)
        .join(Codec, Source.codec_key == Codec.key)
        .where(Camera.name == camera, Source.content_hash == content_hash, Codec.id == codec_id, Source.complete)
    )
    row = connection.execute(found).first()
    return None if row is None else source_result(row, camera)


def base_layers(
    connection: Connection, codec_id: str, cameras: Sequence[str], since: datetime | None, until: datetime | None
) -> BaseLayers:
    """Every base layer of the codec, seen by the cameras, since <= time < until."""
    asked = _captured(since, until) + of_cameras(connection, cameras, Track.camera_key)
    rows = connection.execute(_LAYERS.where(Codec.id == codec_id, *asked).order_by(Face.key)).all()
    return _base_layers(rows, other_codec(connection, codec_id, cameras, since, until))


def other_codec(
    connection: Connection, codec_id: str, cameras: Sequence[str], since: datetime | None, until: datetime | None
) -> int:
    """How many faces that the cameras saw, since <= time < until, other codecs wrote."""
    others = list(connection.execute(select(Codec.key).where(Codec.id != codec_id)).scalars())
    if not others:
        return 0
    asked = _captured(since, until) + of_cameras(connection, cameras, Track.camera_key)
    count = select(func.count()).select_from(Face).where(Face.codec_key.in_(others))
    return connection.execute(count.join(Track).where(*asked) if asked else count).scalar_one()


def base_layers_of_tracks(
    connection: Connection, codec_id: str, tracks: Sequence[int], since: datetime | None, until: datetime | None
) -> BaseLayers:
    """The base layers of the codec of these tracks, by key, since <= time < until."""
    question = _LAYERS.where(Codec.id == codec_id, *_captured(since, until)).order_by(Face.key)
    rows: list[Row[str, int, int, bytes, int]] = []
    for some in _some(tracks):
        rows += connection.execute(question.where(Face.track_key.in_(some)))
    return _base_layers(rows, 0)


_LAYERS = (
    select(Source.id, Track.ordinal, Face.rank, Face.payload, Face.checksum)
    .join_from(Face, Track)
    .join(Source)
    .join(Codec, Codec.key == Face.codec_key)
)


def _captured(since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    asked = [] if since is None else [captured_at() >= since]
    return asked if until is None else [*asked, captured_at() < until]


def _base_layers(rows: Sequence[Row[str, int, int, bytes, int]], other_codec: int) -> BaseLayers:
    return BaseLayers(
        tuple(face_id(source, ordinal, rank) for source, ordinal, rank, _, _ in rows),
        tuple(track_id(source, ordinal) for source, ordinal, _, _, _ in rows),
        tuple(row.payload for row in rows),
        tuple(row.checksum % 2**32 for row in rows),
        other_codec,
    )


def faces(connection: Connection, face_ids: Sequence[str]) -> list[FaceRecord]:
    """The records in the order asked."""
    keys = face_keys(connection, face_ids)
    records = faces_by_key(connection, list(keys.values()))
    for name in face_ids:
        if name not in keys or keys[name] not in records:
            raise _unknown_face(name)
    return [records[keys[name]] for name in face_ids]


def face_keys(connection: Connection, face_ids: Sequence[str]) -> dict[str, int]:
    """The keys of those faces that are there, by their names."""
    places = {name: place for name in face_ids if (place := face_place(name)) is not None}
    ids = sorted({place.source_id for place in places.values()})
    sources: dict[str, int] = {}
    for some in _some(ids):
        rows = connection.execute(select(Source.id, Source.key).where(Source.id.in_(some)))
        sources.update((row.id, row.key) for row in rows)
    asked = {
        (sources[place.source_id], place.ordinal, place.rank): name
        for name, place in places.items()
        if place.source_id in sources
    }
    found: dict[str, int] = {}
    # A row of values at a time is what every database finds by its indexes.
    question = (
        select(Track.source_key, Track.ordinal, Face.rank, Face.key)
        .join_from(Track, Face)
        .where(tuple_(Track.source_key, Track.ordinal).in_(bindparam("places", expanding=True)))
    )
    for some in _some(sorted({(source, ordinal) for source, ordinal, _ in asked})):
        for source, ordinal, rank, key in connection.execute(question, {"places": some}):
            name = asked.get((source, ordinal, rank))
            if name is not None:
                found[name] = key
    return found


def faces_by_key(connection: Connection, keys: Sequence[int]) -> dict[int, FaceRecord]:
    """The records of those faces that are there, by their keys."""
    question = (
        select(
            Face.key,
            Source.id,
            Track.ordinal,
            Face.rank,
            Camera.name,
            Source.name,
            captured_at(),
            Face.placement,
            Track.identity_id,
            EnhancementLayer.face_key,
            Source.clock,
        )
        .join_from(Face, Track)
        .join(Source)
        .join(Camera, Camera.key == Track.camera_key)
        .outerjoin(EnhancementLayer, EnhancementLayer.face_key == Face.key)
    )
    found: dict[int, FaceRecord] = {}
    for some in _some(keys):
        rows = connection.execute(question.where(Face.key.in_(some)))
        for key, source_id, ordinal, rank, camera, source, time, placement, identity_id, picture, clock in rows:
            placed = unpack(placement)
            found[key] = FaceRecord(
                face_id(source_id, ordinal, rank),
                camera,
                source,
                track_id(source_id, ordinal),
                time,
                placed.box,
                placed.quality,
                identity_id,
                frozenset([Layer.BASE] if picture is None else [Layer.BASE, Layer.FULL]),
                _clock(clock),
            )
    return found


def code(connection: Connection, name: str) -> FaceCode:
    """The face's layers; an enhancement that another codec wrote than the base is of no use, so it is left out."""
    row = connection.execute(
        select(Codec.id, Face.payload, Face.checksum, EnhancementBlob.payload)
        .join_from(Face, Codec)
        .outerjoin(
            EnhancementLayer, (EnhancementLayer.face_key == Face.key) & (EnhancementLayer.codec_key == Face.codec_key)
        )
        .outerjoin(EnhancementBlob, EnhancementBlob.digest == EnhancementLayer.digest)
        .where(Face.key == face_keys(connection, [name]).get(name))
    ).one_or_none()
    if row is None:
        raise _unknown_face(name)
    codec_id, base, checksum, enhancement = row
    if zlib.crc32(base) != checksum % 2**32:
        raise CorruptCode(
            f"The base layer of face '{name}' was damaged in the archive: put a backup in its place, "
            "or ingest its video into a new archive."
        )
    return FaceCode(codec_id, base, enhancement)


def tracks(
    connection: Connection, cameras: Sequence[str], since: datetime | None, until: datetime | None
) -> list[TrackRecord]:
    """The tracks that touch since <= time < until, in the order they began."""
    asked = [] if since is None else [Track.ended_at >= since]
    asked += [] if until is None else [Track.started_at < until]
    asked += of_cameras(connection, cameras, Track.camera_key)
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
    rows = connection.execute(question)
    return [
        TrackRecord(
            track_id(source_id, ordinal),
            camera,
            source,
            source_id,
            started_at,
            ended_at,
            detections,
            identity_id,
            tuple(face_id(source_id, ordinal, rank) for rank in ranks[key]),
        )
        for key, ordinal, camera, source, source_id, started_at, ended_at, detections, identity_id in rows
    ]


def info(connection: Connection, file_bytes: int, gaps: tuple[GapRecord, ...]) -> ArchiveInfo:
    """What the archive holds, counted now, without hidden cameras; `file_bytes` and `gaps` are handed through."""
    shown = of_cameras(connection, (), Track.camera_key)
    per_face = select(Track.camera_key, func.count()).join_from(Face, Track).group_by(Track.camera_key)
    faces_of = dict(connection.execute(per_face).all())
    seen = (
        select(Camera.key, Camera.name, func.count(Track.key), func.min(Track.started_at), func.max(Track.ended_at))
        .join_from(Camera, Track, isouter=True)
        .where(~Camera.hidden)
        .group_by(Camera.key, Camera.name)
        .order_by(Camera.name)
    )
    cameras = tuple(
        CameraInfo(name, faces_of.get(key, 0), count, first, last)
        for key, name, count, first, last in connection.execute(seen)
    )
    return ArchiveInfo(
        faces=sum(camera.faces for camera in cameras),
        tracks=sum(camera.tracks for camera in cameras),
        identities=connection.execute(select(func.count(distinct(Track.identity_id))).where(*shown)).scalar_one(),
        cameras=cameras,
        bytes=ArchiveBytes(
            base=_payload_bytes(connection, Face.payload),
            enhancement=_payload_bytes(connection, EnhancementBlob.payload),
            index=index_bytes(connection),
            file=file_bytes,
        ),
        gaps=gaps,
    )


def _payload_bytes(connection: Connection, payload: InstrumentedAttribute[bytes]) -> int:
    """All cameras' bytes less those of the hidden ones: theirs are a few rows, found by an index."""
    payloads = select(func.coalesce(func.sum(func.length(payload)), 0))
    hidden = payloads.select_from(Face).join(Track).join(Camera, Camera.key == Track.camera_key).where(Camera.hidden)
    if payload.class_ is EnhancementBlob:
        hidden = hidden.join(EnhancementLayer, EnhancementLayer.face_key == Face.key).join(EnhancementBlob)
    return int(connection.execute(payloads).scalar_one()) - int(connection.execute(hidden).scalar_one())


def camera_keys(connection: Connection, cameras: Sequence[str]) -> tuple[int, ...] | None:
    """The keys of the cameras, or, where none is named, of all that are not hidden, None where none is;
    UnknownRecord."""
    rows = _cameras(connection)
    if not cameras:
        return tuple(row.key for row in rows if not row.hidden) if any(row.hidden for row in rows) else None
    return tuple(_named(rows, cameras))


def of_cameras(connection: Connection, cameras: Sequence[str], column: Any) -> list[ColumnElement[bool]]:
    """The condition that `column` is one of the cameras' keys, or, where no camera is named, no hidden one's, if there
    are such; UnknownRecord."""
    rows = _cameras(connection)
    if not cameras:
        hidden = [row.key for row in rows if row.hidden]
        return [column.not_in(hidden)] if hidden else []
    return [column.in_(_named(rows, cameras))]


def _cameras(connection: Connection) -> Sequence[Row[str, int, bool]]:
    return connection.execute(select(Camera.name, Camera.key, Camera.hidden).order_by(Camera.name)).all()


def _named(rows: Sequence[Row[str, int, bool]], cameras: Sequence[str]) -> list[int]:
    known = {row.name: row.key for row in rows}
    for name in cameras:
        if name not in known:
            names = ", ".join(row.name for row in rows if not row.hidden) or "none yet"
            raise UnknownRecord(f"The archive has no camera '{name}': its cameras are {names}.")
    return [known[name] for name in cameras]


def _some(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The values, as many at a time as a question may carry."""
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]


def _unknown_face(name: str) -> UnknownRecord:
    return UnknownRecord(f"The archive has no face '{name}': take its id from a search.")
