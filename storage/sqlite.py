"""SQLite as the archive uses it: where the file is, how its connections behave, what its failures mean.

One writer and any number of readers work together: the write-ahead log lets readers go on with the last committed
state, and a writer takes its lock when it begins (BEGIN IMMEDIATE), so that it waits then, and never fails half-way.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, StatementError
from sqlalchemy.pool import ConnectionPoolEntry

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


def locate(url: str) -> Path:
    """The file that `url` names: a bare file name, or a database URL of SQLite.

    Raises ArchiveError for any other database, and for one in memory; a password in the URL is not repeated.
    """
    if "://" not in url:
        name: str | None = url
    else:
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError) as error:
            raise ArchiveError(
                "The archive's database URL cannot be understood: write sqlite:///archive.db, or a file's name."
            ) from error
        if parsed.get_backend_name() != "sqlite":
            raise ArchiveError(
                f"The archive {parsed.render_as_string()} is in a database that this version does not use: "
                "only SQLite is, so write sqlite:///archive.db, or a file's name."
            )
        if parsed.query:
            raise ArchiveError(f"The archive's URL {url} has options after a '?', and there are none: leave them out.")
        name = parsed.database
    if not name or name == ":memory:":
        raise ArchiveError(f"The archive '{url}' names no file to keep it in: write sqlite:///archive.db.")
    return Path(name)


def require_place(path: Path, create: bool) -> None:
    """Nothing, or ArchiveNotFound and ArchiveError where no archive is, or can be made, at `path`."""
    if path.is_dir():
        raise ArchiveError(f"{path} is a folder: name a file in it for the archive.")
    if path.exists():
        return
    if not create:
        raise ArchiveNotFound(f"There is no archive {path}: ingest a video first, or name another file.")
    if not path.parent.is_dir():
        raise ArchiveNotFound(f"There is no folder {path.parent} for the archive {path.name}: make it first.")


def connect(path: Path) -> Engine:
    """An engine on the file; its transactions take the write lock at once when the connection's option `writes` is set.

    Nothing is opened yet.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": LOCK_SECONDS},
        hide_parameters=True,  # no face ends up in a log
    )

    @event.listens_for(engine, "connect")
    def _settle(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions begin where _begin says, not where the driver guesses
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")  # a track that was reported as archived survives a power cut

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def keep_write_ahead_log(engine: Engine) -> None:
    """Nothing; the file uses a write-ahead log from now on, for everyone (SQLite does not do this in a transaction).

    One that is still empty will give back the room of what is removed, when asked to (`shrink`).
    """
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.cursor().execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def repack(engine: Engine) -> None:
    """Nothing; the file is written anew without its free room, which it can give back in steps from now on.

    It takes as much room again meanwhile.
    """
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.cursor().execute("VACUUM")
    finally:
        connection.close()


def shrink(engine: Engine, most: int) -> int:
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


def take_in_log(engine: Engine) -> None:
    """Nothing; what the write-ahead log holds is in the file, and the log's room is the disk's again."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.close()


def page_bytes(connection: Connection) -> tuple[int, int]:
    """Bytes of the pages that are used, and of those that are free."""
    count, free, size = (
        int(connection.exec_driver_sql(f"PRAGMA {what}").scalar_one())
        for what in ("page_count", "freelist_count", "page_size")
    )
    return (count - free) * size, free * size


@contextmanager
def explained(path: Path) -> Iterator[None]:
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
                raise kind(sentence.format(path=path)) from error
        raise ArchiveError(f"The archive {path} failed: {cause}.") from error


def index_bytes(connection: Connection) -> int:
    """Bytes of the pages that hold indexes; 0 where SQLite was built without `dbstat`."""
    pages = text(
        "SELECT coalesce(sum(pgsize), 0) FROM dbstat('main', 1) "
        "WHERE name IN (SELECT name FROM sqlite_master WHERE type = 'index')"
    )
    try:
        return int(connection.execute(pages).scalar_one())
    except DBAPIError:
        return 0


def file_bytes(path: Path) -> int:
    """Bytes of the file and its write-ahead log on disk."""
    return sum(part.stat().st_size for part in (path, Path(f"{path}-wal")) if part.exists())
