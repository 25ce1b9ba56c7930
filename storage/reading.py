"""What is read from the archive, each answer from one state of it: the transaction of the connection handed in."""

import zlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, distinct, func, select

from storage.records import ArchiveBytes, ArchiveInfo, CameraInfo, TrackRecord
from storage.schema import BaseLayer, Camera, Codec, EnhancementLayer, Face, Source, Track
from storage.sqlite import index_bytes
from streamproc.errors import CorruptCode, UnknownRecord
from streamproc.types import BaseLayers, FaceCode, FaceRecord, GapRecord, Layer, SourceResult

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
    )


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
    asked = [] if since is None else [Face.time >= since]
    asked += [] if until is None else [Face.time < until]
    asked += of_cameras(connection, cameras, Face.camera_key)
    codec_key = connection.execute(select(Codec.key).where(Codec.id == codec_id)).scalar_one_or_none()
    layers = (
        select(Face.id, Track.id, BaseLayer.payload, BaseLayer.checksum)
        .join_from(BaseLayer, Face)
        .join(Track)
        .where(BaseLayer.codec_key == codec_key, *asked)
        .order_by(BaseLayer.face_key)
    )
    rows = [] if codec_key is None else connection.execute(layers).all()
    others = select(func.count()).select_from(BaseLayer)
    if codec_key is not None:
        others = others.where(BaseLayer.codec_key != codec_key)
    if asked:
        others = others.join(Face).where(*asked)
    face_ids, track_ids, payloads, checksums = zip(*rows, strict=True) if rows else ((), (), (), ())
    return BaseLayers(face_ids, track_ids, payloads, checksums, connection.execute(others).scalar_one())


def faces(connection: Connection, face_ids: Sequence[str]) -> list[FaceRecord]:
    """The records in the order asked."""
    found: dict[str, FaceRecord] = {}
    for start in range(0, len(face_ids), _AT_ONCE):
        question = (
            select(
                Face.id,
                Camera.name,
                Source.name,
                Track.id,
                Face.time,
                Face.x0,
                Face.y0,
                Face.x1,
                Face.y1,
                Face.quality,
                Track.identity_id,
                BaseLayer.face_key,
                EnhancementLayer.face_key,
            )
            .join_from(Face, Track)
            .join(Source)
            .join(Camera, Camera.key == Face.camera_key)
            .outerjoin(BaseLayer, BaseLayer.face_key == Face.key)
            .outerjoin(EnhancementLayer, EnhancementLayer.face_key == Face.key)
            .where(Face.id.in_(face_ids[start : start + _AT_ONCE]))
        )
        for row in connection.execute(question):
            face_id, camera, source, track_id, time, x0, y0, x1, y1, quality, identity_id, base, enhancement = row
            held = {Layer.BASE: base, Layer.FULL: enhancement}
            layers = frozenset(layer for layer, key in held.items() if key is not None)
            box = (x0, y0, x1, y1)
            found[face_id] = FaceRecord(face_id, camera, source, track_id, time, box, quality, identity_id, layers)
    for face_id in face_ids:
        if face_id not in found:
            raise _unknown_face(face_id)
    return [found[face_id] for face_id in face_ids]


def code(connection: Connection, face_id: str) -> FaceCode:
    """The face's layers; an enhancement that another codec wrote than the base is of no use, so it is left out."""
    row = connection.execute(
        select(Codec.id, BaseLayer.payload, BaseLayer.checksum, EnhancementLayer.payload)
        .join_from(Face, BaseLayer)
        .join(Codec)
        .outerjoin(
            EnhancementLayer,
            (EnhancementLayer.face_key == Face.key) & (EnhancementLayer.codec_key == BaseLayer.codec_key),
        )
        .where(Face.id == face_id)
    ).one_or_none()
    if row is None:
        raise _unknown_face(face_id)
    codec_id, base, checksum, enhancement = row
    if zlib.crc32(base) != checksum:
        raise CorruptCode(
            f"The base layer of face '{face_id}' was damaged in the archive: put a backup in its place, "
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
    return [
        TrackRecord(id_, camera, source, source_id, started_at, ended_at, detections, identity_id, tuple(shots[key]))
        for key, id_, camera, source, source_id, started_at, ended_at, detections, identity_id in connection.execute(
            question
        )
    ]


def info(connection: Connection, file_bytes: int, gaps: tuple[GapRecord, ...]) -> ArchiveInfo:
    """What the archive holds, counted now, without hidden cameras; `file_bytes` and `gaps` are handed through."""
    shown = of_cameras(connection, (), Track.camera_key)
    per_face = select(Face.camera_key, func.count()).group_by(Face.camera_key)
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
            base=_payload_bytes(connection, BaseLayer),
            enhancement=_payload_bytes(connection, EnhancementLayer),
            index=index_bytes(connection),
            file=file_bytes,
        ),
        gaps=gaps,
    )


def _payload_bytes(connection: Connection, layer: type[BaseLayer] | type[EnhancementLayer]) -> int:
    """All cameras' bytes less those of the hidden ones: theirs are a few rows, found by an index."""
    payloads = select(func.coalesce(func.sum(func.length(layer.payload)), 0))
    hidden = payloads.join_from(Face, layer).join(Camera, Camera.key == Face.camera_key).where(Camera.hidden)
    return int(connection.execute(payloads).scalar_one()) - int(connection.execute(hidden).scalar_one())


def of_cameras(connection: Connection, cameras: Sequence[str], column: Any) -> list[ColumnElement[bool]]:
    """The condition that `column` is one of the cameras' keys, or, where no camera is named, no hidden one's, if there
    are such; UnknownRecord."""
    rows = connection.execute(select(Camera.name, Camera.key, Camera.hidden).order_by(Camera.name)).all()
    if not cameras:
        hidden = [row.key for row in rows if row.hidden]
        return [column.not_in(hidden)] if hidden else []
    known = {row.name: row.key for row in rows}
    for name in cameras:
        if name not in known:
            names = ", ".join(row.name for row in rows if not row.hidden) or "none yet"
            raise UnknownRecord(f"The archive has no camera '{name}': its cameras are {names}.")
    return [column.in_([known[name] for name in cameras])]


def _unknown_face(face_id: str) -> UnknownRecord:
    return UnknownRecord(f"The archive has no face '{face_id}': take its id from a search.")
