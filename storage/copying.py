"""A whole archive from one place to another, be it a file or a server.

The copy is made in one transaction, schema and all: who is killed, or finds a difference, leaves an empty place, and
can begin again. Names stay: sources' ids, places of tracks, identities' numbers, acts. The archive's own name is a new
one, since an index that was kept beside the old one is not the new one's; tracks get keys as the place gives them.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, FromClause, RowMapping, Select, Table, func, insert, select, text

from storage.databases import Database, database
from storage.lookup import some
from storage.opening import noted_revision, open_archive
from storage.partitions import new_track_keys
from storage.schema import ArchiveName, Base, Face, RemovedFace, Track
from storage.upgrading import upgrade_within
from streamproc.errors import ArchiveError

Progress = Callable[[str, int, int], None]
"""Is told a table's name, how many of how many of its rows are copied."""
Rows = list[dict[str, Any]]

PAGE = 1000
"""Rows in memory at a time, and tracks with all that is theirs."""
_NOT_COPIED = {ArchiveName.__tablename__, RemovedFace.__tablename__}
"""What is of use to the old archive's followers alone."""


@dataclass(frozen=True, slots=True)
class TableCopied:
    """How many rows a table has, in both archives, and a checksum of them, whatever their order."""

    name: str
    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Copied:
    """The new archive's own name, and what was copied into it."""

    archive_id: str
    tables: tuple[TableCopied, ...]


def copy_archive(source_url: str, target_url: str, progress: Progress) -> Copied:
    """What was copied, read back and compared.

    Raises ArchiveNotFound where there is no archive, or no place for one, ArchiveError where one is already, or where
    the copy differs; then nothing is left of it.
    """
    target = database(target_url)
    with ExitStack() as stack:
        source, source_engine = open_archive(source_url, create=False)
        stack.callback(source_engine.dispose)
        with target.explained():
            target.require_place(create=True)
            target_engine = target.connect()
            stack.callback(target_engine.dispose)
            with target_engine.connect() as connection:
                _require_empty(connection, target)
            target.prepare(target_engine)
            alone = target_engine.connect().execution_options(writes="alone")
            with source_engine.connect() as read, alone as write, write.begin():
                _require_empty(write, target)
                upgrade_within(write)
                return _Copy(source, read, write, progress).made()


class _Copy:
    """One copy, while it is made."""

    def __init__(self, source: Database, read: Connection, write: Connection, progress: Progress) -> None:
        self._source, self._read, self._write, self._progress = source, read, write, progress
        self._tables = [table for table in Base.metadata.sorted_tables if table.name not in _NOT_COPIED]
        self._of_tracks, self._of_faces = (_pointing_at(kind.__table__, self._tables) for kind in (Track, Face))
        with source.explained():
            self._expected = {table.name: _count(read, table) for table in self._tables}
        self._done = dict.fromkeys(self._expected, 0)
        self._sums = dict.fromkeys(self._expected, 0)

    def made(self) -> Copied:
        """What was copied; raises ArchiveError where it is not what was read."""
        for table in self._tables:
            if table is Track.__table__:
                self._copy_tracks(table)
            elif table not in self._of_tracks and table not in self._of_faces:
                for rows in self._pages(select(table).order_by(*table.primary_key)):
                    self._put(table, rows)
        with self._source.explained():
            counters = _counters(self._read, self._tables)
        _set_counters(self._write, self._tables, counters)
        tables = tuple(self._compared(table) for table in self._tables)
        return Copied(self._write.execute(select(ArchiveName.id)).scalar_one(), tables)

    def _copy_tracks(self, tracks: Table) -> None:
        for page in self._pages(select(tracks).order_by(tracks.c.key)):
            given = new_track_keys(self._write, [row["started_at"] for row in page])
            keys = {row["key"]: key for row, key in zip(page, given, strict=True)}
            self._put(tracks, [row | {"key": keys[row["key"]]} for row in page])
            faces: list[int] = []
            for table, name in self._of_tracks.items():
                rows = self._pointing(table, name, list(keys))
                self._put(table, [row | {name: keys[row[name]]} for row in rows])
                if table is Face.__table__:
                    faces = [row["key"] for row in rows]
            for table, name in self._of_faces.items():
                self._put(table, self._pointing(table, name, faces))

    def _pointing(self, table: Table, name: str, keys: Sequence[int]) -> Rows:
        """The table's rows that have one of those keys in that column."""
        of = table.c[name]
        pages = (self._pages(select(table).where(of.in_(part)).order_by(*table.primary_key)) for part in some(keys))
        return [row for part in pages for page in part for row in page]

    def _pages(self, question: Select[Any]) -> Iterator[Rows]:
        with self._source.explained():
            for page in self._read.execute(question.execution_options(yield_per=PAGE)).mappings().partitions():
                yield [dict(row) for row in page]

    def _put(self, table: Table, rows: Rows) -> None:
        if rows:
            self._write.execute(insert(table), rows)
            self._sums[table.name] += _sum(rows)
            self._done[table.name] += len(rows)
            self._progress(table.name, self._done[table.name], self._expected[table.name])

    def _compared(self, table: Table) -> TableCopied:
        found, total = 0, 0
        for page in self._write.execute(select(table).execution_options(yield_per=PAGE)).mappings().partitions():
            found += len(page)
            total += _sum(page)
        if found != self._expected[table.name]:
            raise ArchiveError(
                f"Of {self._expected[table.name]} rows of '{table.name}' {found} can be copied: nothing was kept; "
                f"ask `doctor` about the archive {self._source}."
            )
        if total != self._sums[table.name]:
            raise ArchiveError(
                f"What was written of '{table.name}' is not what was read: nothing was kept; see to the disks, then "
                "copy again."
            )
        return TableCopied(table.name, found, f"{total % 2**64:016x}")


def _require_empty(connection: Connection, target: Database) -> None:
    if noted_revision(connection, target) is not None:
        raise ArchiveError(f"There is an archive at {target} already: name another place for the copy.")


def _pointing_at(kind: FromClause, tables: Sequence[Table]) -> dict[Table, str]:
    """The tables with a column of keys of that kind's rows, and that column."""
    return {
        table: column.name
        for table in tables
        for column in table.columns
        if any(key.column.table is kind for key in column.foreign_keys)
    }


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _sum(rows: Iterable[RowMapping | dict[str, Any]]) -> int:
    """Adds up over pages, in any order."""
    texts = (repr(tuple(row.values())).encode() for row in rows)
    return sum(int.from_bytes(hashlib.blake2b(row, digest_size=8).digest()) for row in texts)


def _counters(connection: Connection, tables: Sequence[Table]) -> dict[str, int]:
    """The last number that each table gave to a row: those of identities that are gone are not given again."""
    last = {
        table.name: connection.execute(select(func.max(table.c.key))).scalar_one() or 0
        for table in tables
        if "key" in table.primary_key.columns and table is not Track.__table__
    }
    given = {"SELECT name, seq FROM sqlite_sequence"}
    if connection.dialect.name == "postgresql":
        sequences = {name: _sequence(connection, name) for name in last}
        given = {f"SELECT '{name}', last_value - (NOT is_called)::int FROM {of}" for name, of in sequences.items()}
    for question in given:
        for name, number in connection.execute(text(question)):
            last[name] = max(last.get(name, 0), number)
    return last


def _set_counters(connection: Connection, tables: Sequence[Table], last: dict[str, int]) -> None:
    for table in tables:
        counter = {"name": table.name, "number": last.get(table.name, 0)}
        if counter["number"] and connection.dialect.name == "postgresql":
            counter["name"] = _sequence(connection, table.name)
            connection.execute(text("SELECT setval(:name, :number)"), counter)
        elif counter["number"] and table.dialect_options["sqlite"]["autoincrement"]:
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), counter)
            connection.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :number)"), counter)


def _sequence(connection: Connection, table: str) -> str:
    """The one that numbers the table's rows on Postgres."""
    return str(connection.execute(text("SELECT pg_get_serial_sequence(:table, 'key')"), {"table": table}).scalar_one())
