"""What goes when its time is over, in steps so small that the writing of new faces waits for none of them.

Deleted rows leave free pages in the file, which new rows fill again; the file itself does not shrink: that would take
a lock on the archive for as long as all of it is written anew.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, select

from storage.records import Removed
from storage.schema import BaseLayer, Camera, EnhancementLayer, Face, Source, Track

FACES_A_STEP = 500
"""Faces whose pictures are looked for in one transaction, a few milliseconds."""
TRACKS_A_STEP = 100
"""Tracks that go in one transaction."""

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
            page = select(Face.time, Face.key).where(Face.camera_key == camera, Face.time < before)
            if last is not None:
                page = page.where(Face.time >= last[0], (Face.time > last[0]) | (Face.key > last[1]))
            rows = connection.execute(page.order_by(Face.time, Face.key).limit(FACES_A_STEP)).all()
            theirs = EnhancementLayer.face_key.in_([row.key for row in rows])
            question = select(func.count(), func.coalesce(func.sum(func.length(EnhancementLayer.payload)), 0))
            pictures, size = connection.execute(question.where(theirs)).one()
            if pictures:
                connection.execute(delete(EnhancementLayer).where(theirs))
        if rows:
            yield Removed(pictures=pictures, bytes=int(size))
        if len(rows) < FACES_A_STEP:
            return
        last = rows[-1].time, rows[-1].key


def _count(connection: Connection, tracks: ColumnElement[bool]) -> Removed:
    """What goes with these tracks."""
    count = connection.execute(select(func.count()).select_from(Track).where(tracks)).scalar_one()
    faces = connection.execute(select(func.count()).select_from(Face).join(Track).where(tracks)).scalar_one()
    pictures, size = 0, 0
    for layer in (BaseLayer, EnhancementLayer):
        question = select(func.count(), func.coalesce(func.sum(func.length(layer.payload)), 0))
        held, its_size = connection.execute(question.join_from(layer, Face).join(Track).where(tracks)).one()
        pictures, size = held, size + int(its_size)
    return Removed(pictures, count, faces, size)
