"""What is read from the archive, each answer from one state of it: the transaction of the connection handed in."""

import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, distinct, func, select
from sqlalchemy.orm import InstrumentedAttribute

from storage.databases import Database
from storage.lookup import face_keys, some, track_records
from storage.naming import face_id, track_id
from storage.placement import unpack
from storage.recoded import recoding_key
from storage.records import ArchiveBytes, ArchiveInfo, CameraInfo, TrackRecord
from storage.schema import (
    Camera,
    Codec,
    EnhancementBlob,
    EnhancementLayer,
    Face,
    RecodedLayer,
    Source,
    Track,
    captured_at,
)
from streamproc.errors import CorruptCode, UnknownRecord
from streamproc.types import BaseLayers, Clock, FaceCode, FaceRecord, GapRecord, Layer, SourceResult


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
    return _base_layers(layers(connection, codec_id, asked), other_codec(connection, codec_id, cameras, since, until))


def other_codec(
    connection: Connection, codec_id: str, cameras: Sequence[str], since: datetime | None, until: datetime | None
) -> int:
    """How many faces that the cameras saw, since <= time < until, other codecs wrote and this one did not, either."""
    others = list(connection.execute(select(Codec.key).where(Codec.id != codec_id)).scalars())
    if not others:
        return 0
    asked = _captured(since, until) + of_cameras(connection, cameras, Track.camera_key)
    count = select(func.count()).select_from(Face).where(Face.codec_key.in_(others))
    written = connection.execute(count.join(Track).where(*asked) if asked else count).scalar_one()
    recoding = recoding_key(connection, codec_id)
    anew = select(func.count()).select_from(RecodedLayer).where(RecodedLayer.recoding_key == recoding)
    also = connection.execute(anew.join(Face).join(Track).where(*asked) if asked else anew) if recoding else None
    return written - (0 if also is None else also.scalar_one())


def base_layers_of_tracks(
    connection: Connection, codec_id: str, tracks: Sequence[int], since: datetime | None, until: datetime | None
) -> BaseLayers:
    """The base layers of the codec of these tracks, by key, since <= time < until."""
    rows: list[Row[str, int, int, bytes, int]] = []
    for part in some(tracks):
        rows += layers(connection, codec_id, [*_captured(since, until), Face.track_key.in_(part)])
    return _base_layers(rows, 0)


def layers(
    connection: Connection, codec_id: str, asked: Sequence[ColumnElement[bool]]
) -> list[Row[str, int, int, bytes, int]]:
    """Source, place in it, rank, base layer and checksum of the faces that the codec wrote, or that were coded anew
    with it, and that meet all conditions."""
    written = (
        select(Source.id, Track.ordinal, Face.rank, Face.payload, Face.checksum)
        .join_from(Face, Track)
        .join(Source)
        .join(Codec, Codec.key == Face.codec_key)
        .where(Codec.id == codec_id, *asked)
    )
    rows = list(connection.execute(written.order_by(Face.key)))
    recoding = recoding_key(connection, codec_id)
    if recoding:
        anew = (
            select(Source.id, Track.ordinal, Face.rank, RecodedLayer.payload, RecodedLayer.checksum)
            .join_from(RecodedLayer, Face)
            .join(Track)
            .join(Source)
            .where(RecodedLayer.recoding_key == recoding, *asked)
        )
        rows += connection.execute(anew.order_by(Face.key))
    return rows


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
    for part in some(keys):
        rows = connection.execute(question.where(Face.key.in_(part)))
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
    return track_records(connection, asked + of_cameras(connection, cameras, Track.camera_key))


def info(connection: Connection, database: Database, gaps: tuple[GapRecord, ...]) -> ArchiveInfo:
    """What the archive holds, counted now, without hidden cameras; `gaps` are handed through."""
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
            index=database.index_bytes(connection),
            file=database.file_bytes(connection),
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


def _unknown_face(name: str) -> UnknownRecord:
    return UnknownRecord(f"The archive has no face '{name}': take its id from a search.")
