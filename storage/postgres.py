"""Postgres as the archive uses it: how its connections behave, what its failures mean.

Writers hold a shared advisory lock until their transaction ends, so that many add tracks at once; whoever looks before
it writes holds it alone. A reader's transaction sees one state from its first question to its last.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, StatementError

from storage import partitions
from storage.records import ArchiveRoom
from storage.schema import Base
from streamproc.config import cache_dir
from streamproc.errors import ArchiveError, ArchiveFull, ArchiveNotFound, ArchiveUnreachable, MissingLibrary

OLDEST = 15
"""The first version of Postgres that will do."""
LOCK_SECONDS, CONNECT_SECONDS = 30, 10
"""How long a writer waits for others, and anybody for an answer from the server."""
_LOG_FILE = 16 << 20
"""Bytes of a file of the write-ahead log."""
VECTOR = "vector"
"""The extension pgvector."""
WRITERS = 0x7374726561
"""The advisory lock of all who write."""

_CONNECTION = {
    "connect_timeout": CONNECT_SECONDS,
    "client_encoding": "utf8",
    # A server that vanished is noticed in a minute, not in hours.
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}

_FAILURES: dict[str, tuple[type[ArchiveError], str]] = {
    "53100": (
        ArchiveFull,
        "No room is left for the archive {name}; what it held is unharmed: free some space on its server, then start "
        "again.",
    ),
    "53300": (ArchiveError, "The server of the archive {name} has too many connections: raise its max_connections."),
    "55P03": (
        ArchiveError,
        f"Another program has kept the archive {{name}} locked for {LOCK_SECONDS} s: end it, or try again later.",
    ),
    "25006": (ArchiveError, "The archive {name} may only be read: name the server that takes what is written."),
    "28": (ArchiveError, "The server of the archive {name} does not let this user in: see to user and password."),
    "3D000": (ArchiveNotFound, "The server has no database for the archive {name}: make it with `createdb`."),
    "42501": (
        ArchiveError,
        "The user of the archive {name} may not do this: make it the owner of the database.",
    ),
    "XX001": (ArchiveError, "The archive {name} is damaged: put a backup in its place."),
    "XX002": (ArchiveError, "An index of the archive {name} is damaged: REINDEX the database."),
    "58030": (ArchiveError, "The disk failed under the archive {name}: see to the server's disk, then try again."),
    "57P03": (ArchiveUnreachable, "The server of the archive {name} is not ready yet: try again in a moment."),
}
_LOST = "The connection to the archive {name} was lost; what was reported as archived is safe: see to its server."
_AT_THE_DOOR = {
    "password authentication failed": "28",
    "no password supplied": "28",
    "no pg_hba.conf entry": "28",
    'role "': "28",
    "does not exist": "3D000",
    "too many clients": "53300",
    "starting up": "57P03",
}
"""What a server that lets nobody in says, which comes without a code."""


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """A database on a server: see `storage.databases.Database`."""

    url: URL

    @classmethod
    def named(cls, url: URL) -> "PostgresDatabase":
        """The database of that URL; raises ArchiveError where it names none."""
        if not url.database:
            raise ArchiveError(f"The archive's URL {_shown(url)} names no database: write it after the last slash.")
        return cls(url.set(drivername="postgresql+psycopg"))

    @property
    def file(self) -> Path | None:
        """None: the server keeps it."""
        return None

    def __str__(self) -> str:
        """The URL without password and options."""
        return _shown(self.url)

    def require_place(self, create: bool) -> None:
        """Nothing; raises ArchiveNotFound where no server answers or it has no such database, ArchiveError where it
        lets nobody in or is too old."""
        with self.explained():
            engine = self.connect()
            try:
                engine.connect().close()
            finally:
                engine.dispose()

    def connect(self) -> Engine:
        """An engine on the database; nothing is opened yet."""
        try:
            engine = create_engine(
                self.url,
                connect_args=_CONNECTION,
                pool_pre_ping=True,  # the server may have been started anew since
                hide_parameters=True,  # no face ends up in a log
            )
        except ModuleNotFoundError as error:
            raise MissingLibrary(
                "An archive in Postgres needs psycopg: install it with `pip install 'streamproc[postgres]'`."
            ) from error
        event.listen(engine, "connect", self._require_version)
        event.listen(engine, "begin", _begin)
        return engine

    @contextmanager
    def settled(self, engine: Engine) -> Iterator[Connection]:
        """A connection that reads a state below whose highest keys none will ever come: nobody wrote as it was taken.

        Keys are given before their transactions end, and those may end in another order.
        """
        with engine.connect() as reader:
            with engine.connect().execution_options(writes="alone") as pause, pause.begin():
                reader.execute(text("SELECT 1"))  # takes the state that all further questions are answered from
            yield reader

    @contextmanager
    def explained(self) -> Iterator[None]:
        """A block in which a failure of the database is raised as an ArchiveError that says what to do."""
        try:
            yield
        except StatementError as error:
            cause: Any = error.orig
            if isinstance(cause, ValueError):  # a value that a column refuses: its own words are clear
                raise cause from error
            said, code = str(cause), getattr(cause, "sqlstate", None)
            if code is None:
                code = next((code for words, code in _AT_THE_DOOR.items() if words in said), None)
            for prefix, (kind, sentence) in _FAILURES.items():
                if code is not None and code.startswith(prefix):
                    raise kind(sentence.format(name=self)) from error
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise ArchiveUnreachable(_LOST.format(name=self)) from error
            if code is None and error.statement is None:
                raise ArchiveUnreachable(
                    f"The server of the archive {self} cannot be reached: see that it runs and that host and port are "
                    "right."
                ) from error
            raise ArchiveError(f"The archive {self} failed: {' '.join(said.split())}.") from error

    def prepare(self, engine: Engine) -> None:
        """Nothing: all of a schema can be made in a transaction."""

    def repack(self, engine: Engine) -> None:
        """Nothing: the server uses free room again."""

    def shrink(self, engine: Engine, most: int) -> int:
        """The bytes given back: those of the oldest month of which nothing is left. Other free room is used again."""
        return partitions.drop_empty(engine)

    def beside(self, what: str, archive_id: str) -> Path:
        """A place in the cache folder of the archive's own: databases made from one template share the name."""
        place = hashlib.sha256(f"{self} {archive_id}".encode()).hexdigest()
        return cache_dir() / what / place[:32]

    def take_in_log(self, engine: Engine) -> None:
        """Nothing: the server sees to its log."""

    def room(self, connection: Connection) -> ArchiveRoom:
        """Nothing that can be known: removed rows take room until autovacuum comes, and the server's disk cannot be
        seen from here."""
        return ArchiveRoom(None, 0, None)

    def own_files(self, engine: Engine) -> list[Path]:
        """The database's, and the server's write-ahead log; none where this is another machine, or user."""
        with engine.connect() as connection:
            if not connection.execute(text("SELECT pg_has_role('pg_read_all_settings', 'USAGE')")).scalar_one():
                return []
            home = Path(str(connection.execute(text("SHOW data_directory")).scalar_one()))
            number = text("SELECT oid FROM pg_database WHERE datname = current_database()")
            folders = [home / "base" / str(connection.execute(number).scalar_one()), home / "pg_wal"]
        try:
            return [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]
        except OSError:
            return []

    def empty_log(self, engine: Engine) -> None:
        """Nothing; the server's write-ahead log has gone round: each of its files holds what was written since.

        Left undone where the user may not do that."""
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if not connection.execute(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")).scalar_one():
                return
            for _ in range(connection.execute(text("SELECT count(*) FROM pg_ls_waldir()")).scalar_one() + 1):
                empty = "SELECT pg_logical_emit_message(false, '', repeat(' ', :size))"
                connection.execute(text(empty), {"size": _LOG_FILE})
                connection.execute(text("SELECT pg_switch_wal()"))
                connection.execute(text("CHECKPOINT"))

    def rewrite(self, engine: Engine) -> None:
        """Nothing; every table was written anew."""
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            named = ", ".join(table.name for table in Base.metadata.sorted_tables)
            connection.execute(text(f"VACUUM (FULL, ANALYZE) {named}"))
            connection.execute(text("VACUUM FULL pg_statistic"))  # samples of values, as they were before
            connection.execute(text("CHECKPOINT"))  # files of old tables are kept until then

    def file_bytes(self, connection: Connection) -> int:
        """Bytes of the database on the server's disk."""
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())

    def index_bytes(self, connection: Connection) -> int:
        """Bytes of the indexes of the archive's tables."""
        indexes = text(
            "SELECT coalesce(sum(pg_relation_size(c.oid)), 0) FROM pg_class c "
            "WHERE c.relkind = 'i' AND c.relnamespace = current_schema()::regnamespace"
        )
        return int(connection.execute(indexes).scalar_one())

    def require_sound(self, connection: Connection) -> None:
        """Nothing, after every row was read; where pages have checksums, the server compares them."""
        here = "relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        named = text(f"SELECT oid::regclass::text FROM pg_class WHERE {here}")
        for table in connection.execute(named).scalars().all():
            connection.execute(text(f"SELECT sum(length(t::text)) FROM {table} t"))

    def _require_version(self, connection: Any, _entry: object) -> None:
        version = connection.info.server_version // 10_000
        if version < OLDEST:
            raise ArchiveError(
                f"The server of the archive {self} is Postgres {version}: {OLDEST} or newer is needed, so upgrade it."
            )


def require_vector(connection: Connection) -> None:
    """Nothing; the database has the extension pgvector. Raises ArchiveError where it cannot be had."""
    held = text("SELECT 1 FROM pg_extension WHERE extname = :name")
    if connection.execute(held, {"name": VECTOR}).first() is not None:
        return
    try:
        connection.execute(text(f"CREATE EXTENSION {VECTOR}"))
    except DBAPIError as error:
        raise ArchiveError(
            f"The database '{connection.engine.url.database}' lacks the extension pgvector: install it on the server, "
            "then let an administrator run CREATE EXTENSION vector in that database."
        ) from error


def _shown(url: URL) -> str:
    host = url.host or url.query.get("host")
    place = URL.create("postgresql+psycopg", url.username, None, str(host or ""), url.port, url.database)
    return place.render_as_string()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return
    if writes is None:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return
    lock = "pg_advisory_xact_lock" if writes == "alone" else "pg_advisory_xact_lock_shared"
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(1000 * LOCK_SECONDS)}; SELECT {lock}({WRITERS})")
