"""What the archive's one writer does, each step inside the transaction of the connection that it is handed."""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Insert, bindparam, delete, func, insert, select, type_coerce, update
from sqlalchemy.dialects import postgresql, sqlite

from storage.naming import face_id
from storage.partitions import new_track_keys
from storage.placement import Placement, pack
from storage.reading import source_result
from storage.records import SourceEntry, TrackAdded
from storage.schema import Camera, Codec, EnhancementBlob, EnhancementLayer, Face, Source, Track, microseconds
from streamproc.errors import ArchiveError, CorruptCode, UnknownRecord
from streamproc.types import Clock, CodedFace, CodedTrack, SourceResult

_COUNTS = ("frames", "corrupt", "detections", "tracks", "archived", "seconds", "error")
"""The fields of a SourceResult that a source keeps."""
AT_ONCE = 500
"""Values in one question: databases bound how many it may carry."""
DIGEST_BYTES = 16


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


def add_tracks(connection: Connection, source_id: str, tracks: Sequence[CodedTrack]) -> list[TrackAdded]:
    """What is new of each; the tracks and their faces are there, in place of those of the same ordinals."""
    # Where several write at once, one at a time adds to a source: another sees which tracks it has then.
    mine = select(Source.key, Source.camera_key, Source.generation).where(Source.id == source_id)
    row = connection.execute(mine.with_for_update(key_share=True)).one_or_none()
    if row is None:
        raise _unknown_source(source_id)
    _refuse_damaged(source_id, tracks)
    source_key, camera_key, generation = row
    held = _held(connection, source_key, [track.ordinal for track in tracks])
    added = [track for track in tracks if track.ordinal not in held]
    again = [track for track in tracks if track.ordinal in held]
    keys = dict(held)
    if added:
        new = new_track_keys(connection, [track.started_at for track in added])
        keys |= zip((track.ordinal for track in added), new, strict=True)
        values = {"source_key": source_key, "camera_key": camera_key}
        rows = [
            values | {"key": keys[track.ordinal], "ordinal": track.ordinal} | _passage(track, generation)
            for track in added
        ]
        connection.execute(insert(Track), rows)
    shots = _shots(connection, [held[track.ordinal] for track in again])
    if again:  # updated, not made anew: whoever was recognised in it stays recognised
        old = update(Track).where(Track.key == bindparam("of"))
        connection.execute(old, [{"of": held[track.ordinal]} | _passage(track, generation) for track in again])
        connection.execute(delete(Face).where(Face.track_key.in_(list(held.values()))))
    _add_faces(connection, [(keys[track.ordinal], track) for track in tracks])
    return [_news(track, shots.get(held.get(track.ordinal, -1))) for track in tracks]


def _held(connection: Connection, source_key: int, ordinals: Sequence[int]) -> dict[int, int]:
    """The keys, by ordinal, of those tracks of the source that are there."""
    found: dict[int, int] = {}
    for start in range(0, len(ordinals), AT_ONCE):
        some = Track.ordinal.in_(ordinals[start : start + AT_ONCE])
        rows = connection.execute(select(Track.ordinal, Track.key).where(Track.source_key == source_key, some))
        found.update((row.ordinal, row.key) for row in rows)
    return found


def _shots(connection: Connection, track_keys: Sequence[int]) -> dict[int, set[int]]:
    """When the faces of those tracks were captured, microseconds since 1970."""
    shots: dict[int, set[int]] = {key: set() for key in track_keys}
    captured = type_coerce(Track.started_at, BigInteger) + Face.moment
    for start in range(0, len(track_keys), AT_ONCE):
        some = Track.key.in_(track_keys[start : start + AT_ONCE])
        for key, moment in connection.execute(select(Track.key, captured).join_from(Track, Face).where(some)):
            shots[key].add(moment)
    return shots


def _passage(track: CodedTrack, generation: int) -> dict[str, Any]:
    return {
        "generation": generation,
        "started_at": track.started_at,
        "ended_at": track.ended_at,
        "detections": track.detections,
    }


def _news(track: CodedTrack, shots: set[int] | None) -> TrackAdded:
    """What the archive learned of a track whose `shots` it held before; None: it held none of the track."""
    times = [face.time.captured_at for face in track.faces]
    captured = tuple(time for time in times if microseconds(time) not in (shots or ()))
    return TrackAdded(shots is None, len(times) - len(shots or ()), captured)


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


def _refuse_damaged(source_id: str, tracks: Sequence[CodedTrack]) -> None:
    for track in tracks:
        for rank, face in enumerate(track.faces):
            if zlib.crc32(face.code.base) != face.checksum:
                name = face_id(source_id, track.ordinal, rank)
                raise CorruptCode(
                    f"The base layer of face '{name}' was damaged before it was archived: ingest its video again."
                )


def _add_faces(connection: Connection, tracks: Sequence[tuple[int, CodedTrack]]) -> None:
    """Nothing; the faces of the tracks, each with its key, are there, with their pictures."""
    codec_ids = {face.code.codec_id for _, track in tracks for face in track.faces}
    codecs = {codec_id: _codec_key(connection, codec_id) for codec_id in codec_ids}
    faces = [face for _, track in tracks for face in track.faces]
    rows = [
        {"track_key": key, "rank": rank, "codec_key": codecs[face.code.codec_id]} | _row(face, track.started_at)
        for key, track in tracks
        for rank, face in enumerate(track.faces)
    ]
    if not rows:
        return
    if all(face.code.enhancement is None for face in faces):
        connection.execute(insert(Face), rows)
        return
    returned = insert(Face).returning(Face.key, sort_by_parameter_order=True)
    keys = connection.execute(returned, rows).scalars().all()
    blobs: list[dict[str, Any]] = []
    layers: list[dict[str, Any]] = []
    for key, face in zip(keys, faces, strict=True):
        payload = face.code.enhancement
        if payload is not None:
            digest = hashlib.blake2b(payload, digest_size=DIGEST_BYTES).digest()
            blobs.append({"digest": digest, "payload": payload})
            layers.append({"face_key": key, "codec_key": codecs[face.code.codec_id], "digest": digest})
    _keep_blobs(connection, blobs)
    connection.execute(insert(EnhancementLayer), layers)


def _keep_blobs(connection: Connection, blobs: list[dict[str, Any]]) -> None:
    """Nothing; each is held once, and nobody who lets go of it at this moment takes it away."""
    blobs = list({blob["digest"]: blob for blob in blobs}.values())
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(EnhancementBlob)
    # Where it is held already, the row is locked: writing what it says does that.
    same = new.on_conflict_do_update(index_elements=["digest"], set_={"digest": new.excluded.digest})
    connection.execute(same, sorted(blobs, key=lambda blob: blob["digest"]))


def _row(face: CodedFace, began: datetime) -> dict[str, Any]:
    return {
        "moment": microseconds(face.time.captured_at) - microseconds(began),
        "placement": pack(Placement(face.box, face.landmarks, face.confidence, face.quality)),
        "checksum": signed(face.checksum),
        "payload": face.code.base,
    }


def signed(checksum: int) -> int:
    """A CRC-32 as databases keep it: 32 bits with a sign, four bytes."""
    return checksum - 2**32 if checksum >= 2**31 else checksum


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
