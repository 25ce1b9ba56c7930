"""What `doctor` asks of an archive's contents, and what it mends: rows, indexes, and files that were left."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select

from storage.agreement import problems
from storage.condition import looked_at
from storage.databases import Database
from storage.index_agreement import disagreeing
from storage.opening import HEAD, noted_revision
from storage.schema import ArchiveName
from storage.unfinished import gone, left_over, removed


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not agree, in a sentence that says what to do, or, where it is `mended`, what was done."""

    said: str
    mended: bool


def examine(url: str, mend: bool = False) -> list[Finding] | None:
    """Everything in the archive and beside it that does not agree, mended where that was asked for and can be done.

    Without `mend` nothing is changed. None for an archive of an older schema, which is brought up to date first.
    Raises ArchiveNotFound and ArchiveError as opening does.
    """
    with looked_at(url) as (place, engine):
        with engine.connect() as connection:
            if noted_revision(connection, place) != HEAD:
                return None
            name = connection.execute(select(ArchiveName.id)).scalars().first() or ""
        return [
            *_rows(engine, mend),
            *_indexes(engine, place, name, mend),
            *_log(engine, place, mend),
            *_files(place, name, mend),
        ]


def _rows(engine: Engine, mend: bool) -> list[Finding]:
    if not mend:
        with engine.connect() as connection:
            return [Finding(one.said, False) for one in problems(connection)]
    with engine.connect().execution_options(writes="alone") as connection, connection.begin():
        return list(_mended(connection))


def _mended(connection: Connection) -> Iterator[Finding]:
    # What one mending removes, others need not look for: so each is found when those before it are mended.
    for one in problems(connection):
        one.mend(connection)
        yield Finding(one.mended, True)


def _indexes(engine: Engine, place: Database, name: str, mend: bool) -> Iterator[Finding]:
    with place.settled(engine) as connection:
        found = list(disagreeing(connection, place.beside("index", name)))
    for folder, why in found:
        if mend:
            gone(folder)
            yield Finding(f"The search index {folder} was removed ({why}): the next search makes it anew.", True)
        else:
            yield Finding(
                f"The search index {folder} does not agree with the archive ({why}): let --mend remove it, and the "
                "next search makes it anew.",
                False,
            )


def _log(engine: Engine, place: Database, mend: bool) -> Iterator[Finding]:
    """SQLite alone: without a write-ahead log, as a killed restore may leave it, readers keep writers waiting."""
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite" or connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal":
            return
    if mend:
        place.prepare(engine)
        yield Finding("The archive has a write-ahead log again.", True)
    else:
        yield Finding(
            "The archive has no write-ahead log, so that readers keep writers waiting: let --mend do it.", False
        )


def _files(place: Database, name: str, mend: bool) -> Iterator[Finding]:
    for path in left_over(place.beside("erasing", name).absolute().parent):
        if mend:
            removed(path)
            yield Finding(f"{path.name}, which somebody began and did not finish, was removed.", True)
        else:
            yield Finding(f"{path} was begun by a program that was killed: let --mend remove it.", False)
    if (former := place.beside("former", name)).exists():
        yield Finding(f"{former} is left of a restore that was killed: look at both, and remove the one.", False)
    if place.beside("erasing", name).exists():
        yield Finding(
            "An erasure was cut off: complete it with `streamproc erase`, whose list of what to look for lies there.",
            False,
        )
