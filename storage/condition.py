"""The state of an archive as it lies there, for who looks after it: nothing is migrated, nothing is changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, func, insert, select

from storage.databases import Database, database
from storage.opening import HEAD, noted_revision
from storage.records import ArchiveCondition, CodecShare
from storage.schema import Camera, Codec, Face, Track
from streamproc.errors import ArchiveNotFound

_LATELY = timedelta(days=7)
_SHORTEST = timedelta(hours=1)
"""Less time than this says nothing of a day."""


def archive_condition(url: str) -> ArchiveCondition:
    """What is to be known of the archive before it is worked with; it was written to, and that taken back.

    Of one with another schema than this version's only the revision is told. Raises ArchiveNotFound where there is
    none, ArchiveError where there is something else, or where it cannot be read or written.
    """
    with looked_at(url) as (place, engine):
        return _condition(engine, place)


def require_sound(url: str) -> None:
    """Nothing, after all of the archive was read; raises ArchiveError that names the first damage."""
    with looked_at(url) as (place, engine), engine.connect() as connection:
        place.require_sound(connection)


@contextmanager
def looked_at(url: str) -> Iterator[tuple[Database, Engine]]:
    """A block with the archive's database as it is and an engine on it."""
    place = database(url)
    with place.explained():
        place.require_place(create=False)
        engine = place.connect()
        try:
            yield place, engine
        finally:
            engine.dispose()


def _condition(engine: Engine, place: Database) -> ArchiveCondition:
    with engine.connect() as connection:
        revision = noted_revision(connection, place)
        if revision is None:
            raise ArchiveNotFound(f"{place} is empty, there is no archive in it: ingest a video first.")
        if revision != HEAD:
            from storage.upgrading import require_known

            require_known(revision, place)
            return ArchiveCondition(revision, HEAD, (), None, None)
        codecs, newest, rate = _codecs(connection), _newest(connection), _faces_a_day(connection)
        size = place.file_bytes(connection)
    with engine.connect().execution_options(writes="alone") as connection, connection.begin() as transaction:
        connection.execute(insert(Codec).values(id="none: written to see whether it can be", profile=""))
        transaction.rollback()
    faces = sum(codec.faces for codec in codecs)
    a_day = None if rate is None or not faces else rate * size / faces
    return ArchiveCondition(revision, HEAD, codecs, newest, a_day)


def _codecs(connection: Connection) -> tuple[CodecShare, ...]:
    counted = (
        select(Codec.id, Codec.profile, func.count())
        .join_from(Face, Codec)
        .group_by(Codec.key)
        .order_by(func.count().desc())
    )
    return tuple(CodecShare(*row) for row in connection.execute(counted))


def _newest(connection: Connection) -> datetime | None:
    """The latest time that anything in the archive speaks of as past."""
    times = [connection.execute(select(func.max(column))).scalar() for column in (Track.ended_at, Camera.watched_until)]
    return max((time for time in times if time is not None), default=None)


def _faces_a_day(connection: Connection) -> float | None:
    """Of the last week that there are faces of; None where they are too few to say."""
    last = connection.execute(select(func.max(Track.started_at))).scalar()
    if last is None:
        return None
    began = select(func.count(), func.min(Track.started_at)).join_from(Face, Track)
    faces, first = connection.execute(began.where(Track.started_at > last - _LATELY)).one()
    return None if last - first < _SHORTEST else faces / ((last - first) / timedelta(days=1))
