"""The migrations make the schema that the code describes."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from made_tracks import begin, made_track
from sqlalchemy import Engine, create_engine, inspect

from storage import Archive
from storage.opening import MIGRATIONS
from storage.schema import Base


def described(engine: Engine) -> dict[str, Any]:
    """Every table's columns, keys and indexes, as the database tells them."""
    inspector = inspect(engine)
    return {
        table: {
            "columns": [{**column, "type": str(column["type"])} for column in inspector.get_columns(table)],
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": sorted(inspector.get_foreign_keys(table), key=str),
            "unique": sorted(inspector.get_unique_constraints(table), key=str),
            "indexes": sorted(inspector.get_indexes(table), key=str),
        }
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def test_the_migrated_schema_is_the_described_one(tmp_path: Path) -> None:
    Archive.open(str(tmp_path / "migrated.db"), create=True).close()
    migrated = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    straight = create_engine(f"sqlite:///{tmp_path / 'straight.db'}")
    Base.metadata.create_all(straight)
    assert described(migrated) == described(straight)
    with migrated.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_faces_and_tracks_are_indexed_by_camera_and_time(tmp_path: Path) -> None:
    Archive.open(str(tmp_path / "a.db"), create=True).close()
    connection = sqlite3.connect(tmp_path / "a.db")
    for table, column in (("faces", "time"), ("tracks", "started_at")):
        question = f"EXPLAIN QUERY PLAN SELECT key FROM {table} WHERE camera_key = 1 AND {column} > 0"
        plan = " ".join(str(row) for row in connection.execute(question))
        assert f"ix_{table}_camera_key_{column}" in plan
    connection.close()


def test_the_revisions_are_one_line_that_ends_in_one_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert script.get_bases() == ["0001"]
    assert len(script.get_heads()) == 1


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic.operations import Operations

    made = 0
    create_table = Operations.create_table

    def failing(self: Operations, name: str, *columns: Any, **options: Any) -> Any:
        nonlocal made
        made += 1
        if made == 4:
            raise KeyboardInterrupt
        return create_table(self, name, *columns, **options)

    path = tmp_path / "a.db"
    monkeypatch.setattr(Operations, "create_table", failing)
    with pytest.raises(KeyboardInterrupt):
        Archive.open(str(path), create=True)
    monkeypatch.undo()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()
    with Archive.open(str(path), create=True) as archive:
        archive.add_track(begin(archive), made_track(0))
        assert archive.info().tracks == 1
