"""What goes when its time is over, in steps so small that the writing of new faces waits for none of them.

Deleted rows leave free pages in the file, which new rows fill again, or which it gives back in small steps, too.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, delete, func, select

from storage.records import Removed
from storage.schema import Camera, EnhancementBlob, EnhancementLayer, Face, RemovedFace, Source, Track

TRACKS_A_STEP = 100
"""Tracks that go, or lose their pictures, in one transaction: a few milliseconds."""
REMOVED_KEPT = 1_000_000
"""So many removed faces are remembered: an index that missed more of them is made anew."""

Writing = Callable[[], AbstractContextManager[Connection]]
"""Opens a transaction that writes."""


def clear(writing: Writing, pictures_before: datetime | None, faces_before: datetime | None) -> Iterator[Removed]:
    """What each step removed, tracks first; see `Archive.clear`."""
    with writing() as connection:
        cameras = list(connection.execute(select(Camera.key)).scalars())
    for camera in cameras:
        if faces_before is not None:
            yield from _clear_tracks(writing, camera, faces_before)
        if pictures_before is not None:
            yield from _clear_pictures(writing, camera, pictures_before)
    with writing() as connection:
        _forget_removed(connection)


def forget_hidden(connection: Connection, camera: str, before: datetime) -> Removed:
    """What was removed: the sessions of the hidden camera that began before that time."""
    of_camera = select(Camera.key).where(Camera.name == camera, Camera.hidden)
    old = Source.camera_key.in_(of_camera), Source.started_at < before
    keys = select(Track.key).join(Source).where(*old)
    removed = _count(connection, Track.key.in_(keys))
    connection.execute(delete(Source).where(*old))
    return removed


def _clear_tracks(writing: Writing, camera: int, before: datetime) -> Iterator[Removed]:
    while True:
        with writing() as connection:
            # Began before, too: that is what the index knows.
            old = (Track.camera_key == camera, Track.started_at < before, Track.ended_at < before)
            some = select(Track.key).where(*old).order_by(Track.started_at).limit(TRACKS_A_STEP)
            keys = list(connection.execute(some).scalars())
            removed = _count(connection, Track.key.in_(keys))
            connection.execute(delete(Track).where(Track.key.in_(keys)))
            if len(keys) < TRACKS_A_STEP:
                _forget_sessions(connection, camera, before)
        if keys:
            yield removed
        if len(keys) < TRACKS_A_STEP:
            return


def _forget_sessions(connection: Connection, camera: int, before: datetime) -> None:
    """Nothing; sessions of which nothing is left are gone. A file's stays: it says that the file was seen already."""
    left = select(Track.key).where(Track.source_key == Source.key).exists()
    connection.execute(
        delete(Source).where(
            Source.camera_key == camera, Source.content_hash.is_(None), Source.started_at < before, ~left
        )
    )


def _clear_pictures(writing: Writing, camera: int, before: datetime) -> Iterator[Removed]:
    last: tuple[datetime, int] | None = None
    while True:
        with writing() as connection:
            # In order of time, and on from where the last step was: what lost its picture long ago is passed over once.
            page = select(Track.started_at, Track.key).where(Track.camera_key == camera, Track.ended_at < before)
            page = page.where(Track.started_at < before)  # what the index knows
            if last is not None:
                page = page.where(Track.started_at >= last[0], (Track.started_at > last[0]) | (Track.key > last[1]))
            rows = connection.execute(page.order_by(Track.started_at, Track.key).limit(TRACKS_A_STEP)).all()
            faces = select(Face.key).where(Face.track_key.in_([row.key for row in rows]))
            pictures, size = _pictures(connection, faces)
            if pictures:
                connection.execute(delete(EnhancementLayer).where(EnhancementLayer.face_key.in_(faces)))
        if rows:
            yield Removed(pictures=pictures, bytes=size)
        if len(rows) < TRACKS_A_STEP:
            return
        last = rows[-1].started_at, rows[-1].key


def _count(connection: Connection, tracks: ColumnElement[bool]) -> Removed:
    """What goes with these tracks."""
    count = connection.execute(select(func.count()).select_from(Track).where(tracks)).scalar_one()
    payloads = select(func.count(), func.coalesce(func.sum(func.length(Face.payload)), 0))
    faces, base = connection.execute(payloads.join_from(Face, Track).where(tracks)).one()
    pictures, size = _pictures(connection, select(Face.key).join(Track).where(tracks))
    return Removed(pictures, count, faces, int(base) + size)


def _pictures(connection: Connection, faces: Select[int]) -> tuple[int, int]:
    """How many enhancement layers the faces have, and of how many bytes."""
    question = select(func.count(), func.coalesce(func.sum(func.length(EnhancementBlob.payload)), 0))
    held = question.join_from(EnhancementLayer, EnhancementBlob).where(EnhancementLayer.face_key.in_(faces))
    pictures, size = connection.execute(held).one()
    return pictures, int(size)


def _forget_removed(connection: Connection) -> None:
    """Nothing; of what was removed long ago the list says nothing any more."""
    last = select(func.max(RemovedFace.key)).scalar_subquery()
    connection.execute(delete(RemovedFace).where(RemovedFace.key <= last - REMOVED_KEPT))
