"""The migrations make the schema that the code describes."""

import sqlite3
import zlib
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from made_tracks import CODEC, START, begin, made_track
from sqlalchemy import Engine, create_engine, inspect

from storage import Archive
from storage.opening import HEAD
from storage.schema import Base
from storage.upgrading import MIGRATIONS, schema_revisions
from streamproc.types import GapReason, SourceResult

GOLDEN = Path(__file__).parents[1] / "golden"


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


def test_tracks_and_gaps_are_indexed_by_camera_and_time(tmp_path: Path) -> None:
    Archive.open(str(tmp_path / "a.db"), create=True).close()
    connection = sqlite3.connect(tmp_path / "a.db")
    for table, column in (("tracks", "started_at"), ("gaps", "began_at")):
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


def old_archive(path: Path, revision: str = "0001") -> None:
    """The file as that revision left it: two cameras of two tracks each, one source complete, one not.

    From 0002 on a third camera with a live session, a gap and a sign of life, from 0003 on a hidden camera.
    """
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((GOLDEN / f"archive_{revision}.sql").read_text(encoding="utf-8"))


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_an_old_archive_opens_and_keeps_everything(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "old.db"
    old_archive(path, revision)
    with Archive.open(str(path)) as archive:
        tracks = archive.tracks(["door", "yard"])
        assert sorted((track.camera, track.started_at) for track in tracks) == [
            (camera, START + timedelta(minutes=k)) for camera in ("door", "yard") for k in range(2)
        ]
        for track in tracks:
            made = made_track(int(track.id[-4:]), salt=track.camera, enhanced=track.camera == "door")
            assert (track.ended_at, track.detections) == (made.ended_at, made.detections)
            assert [archive.code(face_id) for face_id in track.face_ids] == [face.code for face in made.faces]
            for record, face in zip(archive.faces(track.face_ids), made.faces, strict=True):
                assert (record.time, record.box, record.quality) == (face.time.captured_at, face.box, face.quality)
        assert archive.completed_source("door", "hash", CODEC) == SourceResult(
            "door", "/videos/door.mp4", 100, 1, 81, 2, 6, 2.5
        )
        assert archive.completed_source("yard", "hash", CODEC) is None
        assert archive.ledger.watched_until("door") is None
        if revision == "0001":
            assert archive.gaps(now=START + timedelta(days=9)) == ()
            archive.ledger.end_gap(
                archive.ledger.begin_gap("door", START, GapReason.BLACK, "").id, START + timedelta(minutes=1)
            )
        else:
            assert archive.ledger.watched_until("yard") == START + timedelta(minutes=5)
            (session,) = archive.tracks(["gate"])
            assert archive.code(session.face_ids[0]) == made_track(7, salt="gate").faces[0].code
        assert archive.info().faces == (12 if revision == "0001" else 15)
        (gap,) = archive.info().gaps
        assert (gap.camera, gap.reason, gap.ended_at) == ("door", GapReason.BLACK, START + timedelta(minutes=1))
        if revision == "0003":
            assert len(archive.tracks(["the check"])) == 1
        # What comes from now on goes beside what was there, and all of it is told to who keeps an index.
        archive.add_track(begin(archive, "street"), made_track(8))
        changes = archive.face_changes(CODEC, archive.beginning(), 100)
        assert len(changes.keys) == archive.info().faces + (3 if revision == "0003" else 0)
        assert [zlib.crc32(payload) for payload in changes.payloads] == list(changes.checksums)
    fresh = tmp_path / "fresh.db"
    Archive.open(str(fresh), create=True).close()
    assert described(create_engine(f"sqlite:///{path}")) == described(create_engine(f"sqlite:///{fresh}"))


def test_a_migration_killed_half_way_leaves_the_old_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic.operations import Operations

    def failing(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "old.db"
    old_archive(path)
    with closing(sqlite3.connect(path)) as connection:
        before = list(connection.iterdump())
    monkeypatch.setattr(Operations, "create_index", failing)
    with pytest.raises(KeyboardInterrupt):
        Archive.open(str(path))
    monkeypatch.undo()
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before
    with Archive.open(str(path)) as archive:
        assert (archive.info().faces, archive.info().gaps) == (12, ())


def test_the_newest_revision_is_the_one_that_openers_look_for() -> None:
    assert schema_revisions()[0] == HEAD
