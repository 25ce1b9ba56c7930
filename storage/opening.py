"""Bringing a database to today's schema, or saying why it is no archive."""

from contextlib import suppress

from sqlalchemy import Connection, Engine, inspect, text

from storage.databases import Database, database
from streamproc.errors import ArchiveError, ArchiveFull, ArchiveNotFound

HEAD = "0007"
"""The newest revision of the schema."""


def open_archive(url: str, *, create: bool) -> tuple[Database, Engine]:
    """The archive's database and an engine on it, its schema brought up to date.

    Raises ArchiveNotFound where there is none and none is to be made, ArchiveError where there is something else.
    """
    place = database(url)
    with place.explained():
        place.require_place(create)
        engine = place.connect()
        try:
            _bring_up_to_date(engine, place, create)
        except BaseException:
            engine.dispose()
            raise
    return place, engine


def _bring_up_to_date(engine: Engine, place: Database, create: bool) -> None:
    with engine.connect() as connection:
        revision = noted_revision(connection, place)
    if revision == HEAD:
        return
    if revision is None and not create:
        raise ArchiveNotFound(f"{place} is empty, there is no archive in it: ingest a video first.")
    # Alembic takes as long to import as the rest of the archive, and nearly every archive is up to date.
    from storage.upgrading import require_known, upgrade

    if revision is not None:
        require_known(revision, place)
    place.prepare(engine)
    upgrade(engine)
    if revision is not None:
        with suppress(ArchiveFull), place.explained():  # it is as good an archive without
            place.repack(engine)


def noted_revision(connection: Connection, place: Database) -> str | None:
    """The revision of the schema that a database holds, None where it is empty; raises ArchiveError where it holds
    something else."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    revision: str | None = None
    if {"alembic_version", "enhancement_layers"} <= set(tables):
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is None:
        raise ArchiveError(f"{place} is a database of another program: name another one for the archive.")
    return revision
