"""The schema's revisions, by Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

from storage.databases import Database
from streamproc.errors import ArchiveError

MIGRATIONS = Path(__file__).parent / "migrations"


def schema_revisions() -> list[str]:
    """The revisions of the schema that this version knows, newest first."""
    return [known.revision for known in ScriptDirectory.from_config(_config()).walk_revisions()]


def require_known(revision: str, place: Database) -> None:
    """Nothing; raises ArchiveError for an archive with a revision of the schema that this version lacks."""
    known = schema_revisions()
    if revision not in known:
        raise ArchiveError(
            f"The archive {place} was made by a newer streamproc (its schema is {revision}, this one knows "
            f"{known[0]}): use that one, or upgrade this."
        )


def upgrade(engine: Engine) -> None:
    """Nothing; the database has today's schema."""
    # One transaction for all: who is killed here leaves it as it was, and who comes second finds it done.
    with engine.connect().execution_options(writes="alone") as connection, connection.begin():
        upgrade_within(connection)


def upgrade_within(connection: Connection) -> None:
    """Nothing; once the connection's transaction is over, the database has today's schema."""
    config = _config()
    config.attributes["connection"] = connection
    if connection.dialect.name == "postgresql" and not inspect(connection).has_table("alembic_version"):
        from storage import postgres_schema  # archives on Postgres began with this one

        postgres_schema.create(connection)
        command.stamp(config, postgres_schema.FIRST_REVISION)
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
