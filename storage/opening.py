"""Bringing a database file to today's schema, or saying why it is no archive."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from storage.sqlite import connect, explained, keep_write_ahead_log, locate, require_place
from streamproc.errors import ArchiveError, ArchiveNotFound

MIGRATIONS = Path(__file__).parent / "migrations"


def open_archive(url: str, *, create: bool) -> tuple[Path, Engine]:
    """The archive's file and an engine on it, its schema brought up to date.

    Raises ArchiveNotFound where there is none and none is to be made, ArchiveError where there is something else.
    """
    path = locate(url)
    with explained(path):
        require_place(path, create)
        engine = connect(path)
        try:
            _bring_up_to_date(engine, path, create)
        except BaseException:
            engine.dispose()
            raise
    return path, engine


def schema_revisions() -> list[str]:
    """The revisions of the schema that this version knows, newest first."""
    return [known.revision for known in ScriptDirectory.from_config(_config()).walk_revisions()]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _bring_up_to_date(engine: Engine, path: Path, create: bool) -> None:
    config = _config()
    known = schema_revisions()
    head = known[0]
    with engine.connect() as connection:
        tables = set(inspect(connection).get_table_names())
        revision = MigrationContext.configure(connection).get_current_revision()
    if revision == head:
        return
    if not tables and not create:
        raise ArchiveNotFound(f"{path} is empty, there is no archive in it: ingest a video first.")
    if tables and (revision is None or "base_layers" not in tables):
        raise ArchiveError(f"{path} is a database of another program: name another file for the archive.")
    if revision is not None and revision not in known:
        raise ArchiveError(
            f"The archive {path} was made by a newer streamproc (its schema is {revision}, this one knows {head}): "
            "use that one, or upgrade this."
        )
    keep_write_ahead_log(engine)
    # One transaction for all: who is killed here leaves the file as it was, and who comes second finds it done.
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
