"""SQLite as the archive uses it: where the file is, how its connections behave, what its failures mean.

One writer and any number of readers work together: the write-ahead log lets readers go on with the last committed
state, and a writer takes its lock when it begins (BEGIN IMMEDIATE), so that it waits then, and never fails half-way.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.pool import ConnectionPoolEntry
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from storage.records import ArchiveRoom
from storage.unfinished import sides
from streamproc.errors import ArchiveError, ArchiveFull, ArchiveNotFound

LOCK_SECONDS = 30
"""How long a writer waits for another one to finish."""

_FAILURES: dict[str, tuple[type[ArchiveError], str]] = {
    "SQLITE_FULL": (
        ArchiveFull,
        "No room is left for the archive {path}; what it held is unharmed: free some space, then start again.",
    ),
    "SQLITE_IOERR_SHMSIZE": (ArchiveFull, "No room is left beside the archive {path}: free some space."),
    "SQLITE_NOTADB": (ArchiveError, "{path} is not a SQLite database: name another file for the archive."),
    "SQLITE_CORRUPT": (ArchiveError, "The archive {path} is damaged: put a backup in its place."),
    "SQLITE_CANTOPEN": (ArchiveError, "The archive {path} cannot be opened: see that its folder can be written to."),
    "SQLITE_READONLY": (ArchiveError, "The archive {path} may only be read: make it and its folder writable."),
    "SQLITE_PERM": (ArchiveError, "The archive {path} may not be opened: see to its permissions."),
    "SQLITE_BUSY": (
        ArchiveError,
        f"Another program has kept the archive {{path}} locked for {LOCK_SECONDS} s: end it, or try again later.",
    ),
    "SQLITE_IOERR": (ArchiveError, "The disk failed under the archive {path}: see to the disk, then try again."),
}


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A file of SQLite: see `storage.databases.Database`."""

    file: Path

    @classmethod
    def named(cls, url: str, name: str | None) -> "SqliteFile":
        """The file of that name, which stood in `url`; raises ArchiveError for one in memory."""
        if not name or name == ":memory:":
            raise ArchiveError(f"The archive '{url}' names no file to keep it in: write sqlite:///archive.db.")
        return cls(Path(name))

    def __str__(self) -> str:
        """The file's name."""
        return str(self.file)

    def require_place(self, create: bool) -> None:
        """Nothing, or ArchiveNotFound and ArchiveError where no archive is, or can be made."""
        path = self.file
        if path.is_dir():
            raise ArchiveError(f"{path} is a folder: name a file in it for the archive.")
        if path.exists():
            return
        if not create:
            raise ArchiveNotFound(f"There is no archive {path}: ingest a video first, or name another file.")
        if not path.parent.is_dir():
            raise ArchiveNotFound(f"There is no folder {path.parent} for the archive {path.name}: make it first.")

    def connect(self) -> Engine:
        """An engine on the file; a transaction that writes takes the one write lock as it begins."""
        engine = create_engine(
            URL.create("sqlite", database=str(self.file)),
            connect_args={"timeout": LOCK_SECONDS},
            hide_parameters=True,  # no face ends up in a log
        )
        event.listen(engine, "connect", _settle)
        event.listen(engine, "begin", _begin)
        return engine

    def settled(self, engine: Engine) -> Connection:
        """A connection: with one writer at a time, keys come in the order of their transactions."""
        return engine.connect()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """A block in which a failure of the database is raised as an ArchiveError that says what to do."""
        try:
            yield
        except (StatementError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, StatementError) else error
            if isinstance(cause, ValueError):  # a value that a column refuses: its own words are clear
                raise cause from error
            name = getattr(cause, "sqlite_errorname", "")
            for prefix, (kind, sentence) in _FAILURES.items():
                if name.startswith(prefix):
                    raise kind(sentence.format(path=self.file)) from error
            raise ArchiveError(f"The archive {self.file} failed: {cause}.") from error

    def prepare(self, engine: Engine) -> None:
        """Nothing; the file uses a write-ahead log from now on, for everyone, which no transaction can switch on.

        One that is still empty will give back the room of what is removed, when asked to (`shrink`).
        """
        # Of several who switch the log on at once SQLite refuses all but one without waiting.
        for attempt in Retrying(
            retry=retry_if_exception(_busy),
            stop=stop_after_delay(LOCK_SECONDS),
            wait=wait_random(0.01, 0.1),
            reraise=True,
        ):
            with attempt:
                _outside_transactions(engine, "PRAGMA auto_vacuum=INCREMENTAL", "PRAGMA journal_mode=WAL")

    def repack(self, engine: Engine) -> None:
        """Nothing; the file is written anew without its free room, which it can give back in steps from now on.

        It takes as much room again meanwhile.
        """
        _outside_transactions(engine, "PRAGMA auto_vacuum=INCREMENTAL", "VACUUM")

    def beside(self, what: str, archive_id: str) -> Path:
        """The file's name, a dot and that."""
        return Path(f"{self.file}.{what}")

    def own_files(self, engine: Engine) -> list[Path]:
        """The file, what SQLite keeps beside it, and what a killed restore left of a former one."""
        return [
            path for file in (self.file, Path(f"{self.file}.former")) for path in (file, *sides(file)) if path.is_file()
        ]

    def rewrite(self, engine: Engine) -> None:
        """Nothing; the file was written anew."""
        self.repack(engine)

    def empty_log(self, engine: Engine) -> None:
        """Nothing; the write-ahead log is taken in, and empty. ArchiveError where a reader holds an older state."""
        connection = engine.raw_connection()
        try:
            (busy, _, _) = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.close()
        if busy:
            raise ArchiveError(
                f"Another program has read one state of the archive {self.file} for {LOCK_SECONDS} s, so that its log "
                "cannot be emptied: end it, then do this again."
            )

    def shrink(self, engine: Engine, most: int) -> int:
        """The bytes of free room, `most` at most, by which the file becomes smaller when its log is next taken in."""
        connection = engine.raw_connection()
        try:
            cursor = connection.cursor()
            page, free = (cursor.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_size", "freelist_count"))
            # It works a page a step, and only a script is stepped through to its end.
            cursor.executescript(f"PRAGMA incremental_vacuum({max(most // page, 1)})")
            return int(page * (free - cursor.execute("PRAGMA freelist_count").fetchone()[0]))
        finally:
            connection.close()

    def take_in_log(self, engine: Engine) -> None:
        """Nothing; what the write-ahead log holds is in the file, and the log's room is the disk's again."""
        _outside_transactions(engine, "PRAGMA wal_checkpoint(TRUNCATE)")

    def room(self, connection: Connection) -> ArchiveRoom:
        """How much room the file's pages take, those that are free and the disk has."""
        count, free, size = (
            int(connection.exec_driver_sql(f"PRAGMA {what}").scalar_one())
            for what in ("page_count", "freelist_count", "page_size")
        )
        return ArchiveRoom((count - free) * size, free * size, shutil.disk_usage(self.file.resolve().parent).free)

    def file_bytes(self, connection: Connection) -> int:
        """Bytes of the file and its write-ahead log on disk."""
        return sum(part.stat().st_size for part in (self.file, Path(f"{self.file}-wal")) if part.exists())

    def index_bytes(self, connection: Connection) -> int:
        """Bytes of the pages that hold indexes; 0 where SQLite was built without `dbstat`."""
        pages = text(
            "SELECT coalesce(sum(pgsize), 0) FROM dbstat('main', 1) "
            "WHERE name IN (SELECT name FROM sqlite_master WHERE type = 'index')"
        )
        try:
            return int(connection.execute(pages).scalar_one())
        except DBAPIError:
            return 0

    def require_sound(self, connection: Connection) -> None:
        """Nothing, after every page was read; raises ArchiveError that names the first damage."""
        said = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
        if said != "ok":
            first = " ".join(str(said).split())
            raise ArchiveError(f"The archive {self.file} is damaged ({first}): put a backup in its place.")


def _settle(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin where _begin says, not where the driver guesses
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=ON")  # what is removed is overwritten, not only forgotten
    connection.execute("PRAGMA synchronous=FULL")  # a track that was reported as archived survives a power cut


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _busy(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def _outside_transactions(engine: Engine, *statements: str) -> None:
    connection = engine.raw_connection()
    try:
        for statement in statements:
            connection.cursor().execute(statement)
    finally:
        connection.close()
