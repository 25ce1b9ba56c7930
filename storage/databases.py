"""Where an archive can be: a file of SQLite or a database of Postgres, chosen by its URL.

Everything that differs between the two is behind `Database`; the rest of the archive asks it and knows neither.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError

from storage.records import ArchiveRoom
from streamproc.errors import ArchiveError


class Database(Protocol):
    """One place for an archive; `str` of it is how people call it, without a password."""

    @property
    def file(self) -> Path | None:
        """The archive's file; None where a server keeps it."""

    def require_place(self, create: bool) -> None:
        """Nothing; raises ArchiveNotFound or ArchiveError where no archive is, or can be made."""

    def connect(self) -> Engine:
        """An engine; nothing is opened yet.

        A transaction reads one state of the archive, unless its connection has the option `writes`: "alone", while
        nobody else writes, or "beside", along with others of its kind, which look at nothing that those may change.
        """

    def settled(self, engine: Engine) -> AbstractContextManager[Connection]:
        """A connection that reads a state whose keys are all that there will ever be up to its highest ones."""

    def explained(self) -> AbstractContextManager[None]:
        """A block in which a failure of the database is raised as an ArchiveError that says what to do."""

    def prepare(self, engine: Engine) -> None:
        """Nothing; what a schema needs that cannot be done in its transaction is done."""

    def repack(self, engine: Engine) -> None:
        """Nothing; room that a migration left free is given back."""

    def beside(self, what: str, archive_id: str) -> Path:
        """Where a file or folder that belongs to the archive of that name is kept: beside its file, or, where a server
        keeps it, in the user's cache folder."""

    def own_files(self, engine: Engine) -> list[Path]:
        """All files that the archive's bytes may be in; none where they cannot be read from here."""

    def empty_log(self, engine: Engine) -> None:
        """Nothing; what was removed is not in the log of changes any more either.

        Raises ArchiveError where somebody reads an older state for too long."""

    def rewrite(self, engine: Engine) -> None:
        """Nothing; everything was written anew, without what was removed; nobody else reads or writes meanwhile."""

    def shrink(self, engine: Engine, most: int) -> int:
        """The bytes of free room given back, `most` at most, of this order; 0: there is none."""

    def take_in_log(self, engine: Engine) -> None:
        """Nothing; room that is taken up only until the next time that nobody writes is free."""

    def room(self, connection: Connection) -> ArchiveRoom:
        """How much room the archive takes, and how much there is."""

    def file_bytes(self, connection: Connection) -> int:
        """Bytes on disk."""

    def index_bytes(self, connection: Connection) -> int:
        """Those of the database's indexes; 0 where it cannot tell."""

    def require_sound(self, connection: Connection) -> None:
        """Nothing, after all of the archive was read; raises ArchiveError that names the first damage."""


def database(url: str) -> Database:
    """What `url` names, be an archive there or not: a bare file name, or a database URL.

    Raises ArchiveError for any other database; a password in the URL is not repeated.
    """
    from storage.sqlite import SqliteFile

    if "://" not in url:
        return SqliteFile.named(url, url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ArchiveError(
            "The archive's database URL cannot be understood: write sqlite:///archive.db, a file's name, or "
            "postgresql+psycopg://user@host/database."
        ) from error
    if parsed.get_backend_name() == "sqlite":
        if parsed.query:
            raise ArchiveError(f"The archive's URL {url} has options after a '?', and there are none: leave them out.")
        return SqliteFile.named(url, parsed.database)
    if parsed.get_backend_name() == "postgresql":
        from storage.postgres import PostgresDatabase

        return PostgresDatabase.named(parsed)
    raise ArchiveError(
        f"The archive {parsed.render_as_string()} is in a database that this version does not use: SQLite and Postgres "
        "are, so write sqlite:///archive.db, a file's name, or postgresql+psycopg://user@host/database."
    )
