"""What the archive's one writer does, each step inside the transaction of the connection that it is handed."""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Insert, delete, func, insert, select, update

from storage.reading import source_result
from storage.records import SourceEntry, TrackAdded
from storage.schema import BaseLayer, Camera, Codec, EnhancementLayer, Face, Source, Track
from streamproc.errors import ArchiveError, CorruptCode, UnknownRecord
from streamproc.types import Clock, CodedFace, CodedTrack, SourceResult

_COUNTS = ("frames", "corrupt", "detections", "tracks", "archived", "seconds", "error")
"""The fields of a SourceResult that a source keeps."""


def register_codec(connection: Connection, codec_id: str, profile: str) -> None:
    """Nothing; the codec is known."""
    if connection.execute(select(Codec.key).where(Codec.id == codec_id)).first() is None:
        connection.execute(insert(Codec).values(id=codec_id, profile=profile))


def begin_source(
    connection: Connection,
    camera: str,
    name: str,
    content_hash: str | None,
    started_at: datetime,
    codec_id: str,
    clock: Clock | None = None,
    *,
    resume: bool = False,
    hidden: bool = False,
) -> SourceEntry:
    """The source's entry; unless it is complete in this codec, a new generation of it has begun, or, with `resume`,
    goes on. A camera that was not there is `hidden` from now on; ArchiveError for a hidden one that is taken for a
    place."""
    if not hidden and connection.execute(select(Camera.key).where(Camera.name == camera, Camera.hidden)).first():
        raise ArchiveError(f"The camera '{camera}' is the service's own in this archive: give yours another name.")
    source_id = _source_id(camera, name, content_hash, started_at)
    codec_key = _codec_key(connection, codec_id)
    row = connection.execute(select(Source.__table__).where(Source.id == source_id)).one_or_none()
    if row is not None and row.complete and row.codec_key == codec_key:
        return SourceEntry(source_id, True, source_result(row, camera))
    values = {"name": name, "started_at": started_at, "codec_key": codec_key, "complete": False, "clock": clock}
    if row is not None:
        values["generation"] = row.generation if resume else row.generation + 1
        connection.execute(update(Source).where(Source.key == row.key).values(values))
    else:
        values |= {"id": source_id, "content_hash": content_hash, "generation": 1} | _counts(SourceResult(camera, name))
        camera_key = key_of_camera(connection, camera, hidden)
        connection.execute(insert(Source).values(camera_key=camera_key, **values))
    return SourceEntry(source_id, False, None)


def add_track(connection: Connection, source_id: str, track: CodedTrack) -> TrackAdded:
    """What is new; the track and its faces are there, in place of those of the same ordinal."""
    row = connection.execute(
        select(Source.key, Source.camera_key, Source.generation).where(Source.id == source_id)
    ).one_or_none()
    if row is None:
        raise _unknown_source(source_id)
    source_key, camera_key, generation = row
    track_id = f"{source_id}-{track.ordinal:04d}"
    values = {
        "generation": generation,
        "started_at": track.started_at,
        "ended_at": track.ended_at,
        "detections": track.detections,
    }
    track_key = connection.execute(select(Track.key).where(Track.id == track_id)).scalar_one_or_none()
    shots: set[tuple[int, int]] = set()
    new = track_key is None
    if track_key is None:
        place = {"id": track_id, "source_key": source_key, "camera_key": camera_key, "ordinal": track.ordinal}
        track_key = _added(connection, insert(Track).values(place | values))
    else:  # updated, not made anew: whoever was recognised in it stays recognised
        connection.execute(update(Track).where(Track.key == track_key).values(values))
        held = select(Face.epoch, Face.pts).where(Face.track_key == track_key)
        shots = {(row.epoch, row.pts) for row in connection.execute(held)}
        connection.execute(delete(Face).where(Face.track_key == track_key))
    ids = [f"{track_id}-{rank}" for rank in range(len(track.faces))]
    _refuse_damaged(ids, track.faces)
    if track.faces:
        _add_faces(connection, ids, track.faces, {"track_key": track_key, "camera_key": camera_key})
    times = [face.time for face in track.faces]
    captured = tuple(time.captured_at for time in times if (time.epoch, time.pts) not in shots)
    return TrackAdded(new, len(times) - len(shots), captured)


def finish_source(connection: Connection, source_id: str, result: SourceResult) -> None:
    """Nothing; the source is complete, and what its older generations left over is gone."""
    row = connection.execute(select(Source.key, Source.generation).where(Source.id == source_id)).one_or_none()
    if row is None:
        raise _unknown_source(source_id)
    source_key, generation = row
    connection.execute(delete(Track).where(Track.source_key == source_key, Track.generation < generation))
    connection.execute(update(Source).where(Source.key == source_key).values(complete=True, **_counts(result)))


def finish_session(connection: Connection, camera: str, name: str, started_at: datetime, result: SourceResult) -> None:
    """Nothing; the session of a live camera is complete. One that archived nothing has left no trace."""
    source_id = _source_id(camera, name, None, started_at)
    faces = select(func.count()).select_from(Face).join(Track).join(Source).where(Source.id == source_id)
    if connection.execute(select(Source.key).where(Source.id == source_id)).first() is not None:
        finish_source(connection, source_id, replace(result, archived=connection.execute(faces).scalar_one()))


def _refuse_damaged(ids: Sequence[str], faces: Sequence[CodedFace]) -> None:
    for face_id, face in zip(ids, faces, strict=True):
        if zlib.crc32(face.code.base) != face.checksum:
            raise CorruptCode(
                f"The base layer of face '{face_id}' was damaged before it was archived: ingest its video again."
            )


def _add_faces(connection: Connection, ids: Sequence[str], faces: Sequence[CodedFace], place: dict[str, int]) -> None:
    rows = [_row(face) | place | {"id": ids[rank], "rank": rank} for rank, face in enumerate(faces)]
    returned = insert(Face).returning(Face.key, sort_by_parameter_order=True)
    keys = connection.execute(returned, rows).scalars().all()
    codecs = {codec_id: _codec_key(connection, codec_id) for codec_id in {face.code.codec_id for face in faces}}
    bases: list[dict[str, Any]] = []
    enhancements: list[dict[str, Any]] = []
    for key, face in zip(keys, faces, strict=True):
        layer = {"face_key": key, "codec_key": codecs[face.code.codec_id]}
        bases.append(layer | {"checksum": face.checksum, "payload": face.code.base})
        if face.code.enhancement is not None:
            enhancements.append(layer | {"payload": face.code.enhancement})
    connection.execute(insert(BaseLayer), bases)
    if enhancements:
        connection.execute(insert(EnhancementLayer), enhancements)


def _row(face: CodedFace) -> dict[str, Any]:
    x0, y0, x1, y1 = face.box
    return {
        "time": face.time.captured_at,
        "epoch": face.time.epoch,
        "pts": face.time.pts,
        "time_base_numerator": face.time.time_base.numerator,
        "time_base_denominator": face.time.time_base.denominator,
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "landmarks": face.landmarks,
        "confidence": face.confidence,
        "quality": face.quality,
    }


def _source_id(camera: str, name: str, content_hash: str | None, started_at: datetime) -> str:
    """16 hex digits that stay the same for the same video: by its content; a live one's by its address and start."""
    parts: Sequence[str] = (camera, content_hash or f"{name}\0{started_at.astimezone(UTC).isoformat()}")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _codec_key(connection: Connection, codec_id: str) -> int:
    key = connection.execute(select(Codec.key).where(Codec.id == codec_id)).scalar_one_or_none()
    if key is None:
        raise UnknownRecord(f"The archive has no codec '{codec_id}': register it first.")
    return key


def key_of_camera(connection: Connection, name: str, hidden: bool = False) -> int:
    """The camera's key; one that was not there is now, and `hidden` or not."""
    key = connection.execute(select(Camera.key).where(Camera.name == name)).scalar_one_or_none()
    return _added(connection, insert(Camera).values(name=name, hidden=hidden)) if key is None else key


def _added(connection: Connection, statement: Insert) -> int:
    """The new row's key."""
    key = connection.execute(statement).inserted_primary_key
    assert key is not None  # every table here has one
    return int(key[0])


def _counts(result: SourceResult) -> dict[str, Any]:
    fields = asdict(result)
    return {name: fields[name] for name in _COUNTS}


def _unknown_source(source_id: str) -> UnknownRecord:
    return UnknownRecord(f"The archive has no source '{source_id}': begin it first.")
