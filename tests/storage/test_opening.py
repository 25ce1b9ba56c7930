"""Opening an archive: where one is, where none is, and where something else is."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from made_tracks import CODEC, begin, made_track
from sqlalchemy import Engine, event

import storage.sqlite
from storage import Archive
from streamproc.errors import ArchiveError, ArchiveFull, ArchiveNotFound


@contextmanager
def on_every_connection(statement: str) -> Iterator[None]:
    """Every connection that is opened inside runs `statement` first."""

    def run(connection: sqlite3.Connection, _entry: object) -> None:
        connection.execute(statement)

    event.listen(Engine, "connect", run)
    try:
        yield
    finally:
        event.remove(Engine, "connect", run)


@pytest.mark.parametrize("url", ["sqlite:///{}", "{}", "sqlite+pysqlite:///{}"])
def test_a_url_and_a_bare_name_are_the_same_file(tmp_path: Path, url: str) -> None:
    path = tmp_path / "an archive, 100%.db"
    with Archive.open(str(path), create=True) as archive:
        begin(archive)
    with Archive.open(url.format(path)) as archive:
        assert [camera.name for camera in archive.info().cameras] == ["door"]


def test_a_bare_name_is_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Archive.open("here.db", create=True).close()
    Archive.open("sqlite:///there.db", create=True).close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["here.db", "there.db"]


def test_the_database_is_set_up_to_be_shared_and_to_last(tmp_path: Path) -> None:
    with Archive.open(str(tmp_path / "a.db"), create=True) as archive, archive._engine.connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert pragma == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 30_000}


def test_creating_where_an_archive_is_keeps_it(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    with Archive.open(path, create=True) as archive:
        archive.add_track(begin(archive), made_track(0))
    with Archive.open(path, create=True) as archive:
        assert archive.info().tracks == 1


def test_a_missing_archive_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(ArchiveNotFound, match=r"no archive .*missing\.db: ingest a video first"):
        Archive.open(str(tmp_path / "missing.db"))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_no_archive_but_can_become_one(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(ArchiveNotFound, match=r"empty\.db is empty"):
        Archive.open(str(path))
    assert path.stat().st_size == 0
    with Archive.open(str(path), create=True) as archive:
        assert archive.info().faces == 0


def text_file(path: Path) -> None:
    path.write_text("dear diary, this is no database\n" * 100)


def other_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")


def newer_version(path: Path) -> None:
    Archive.open(str(path), create=True).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (text_file, r"it is not a SQLite database: name another file"),
        (Path.mkdir, r"it is a folder: name a file in it"),
        (other_program, r"it is a database of another program: name another one"),
        (newer_version, r"The archive it was made by a newer streamproc \(its schema is 9999, this one knows \d+\)"),
    ],
)
def test_what_is_no_archive_is_refused_and_left_as_it_was(
    tmp_path: Path, make: Callable[[Path], None], sentence: str, create: bool
) -> None:
    path = tmp_path / "it"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ArchiveError, match=sentence.replace("it ", f"{path} ", 1)):
        Archive.open(str(path), create=create)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveNotFound, match=r"no folder .*nowhere for the archive a\.db: make it first"):
        Archive.open(str(tmp_path / "nowhere" / "a.db"), create=True)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    folder = Path("/proc") if os.access(tmp_path, os.W_OK) else tmp_path  # the superuser may write to the first
    if not folder.is_dir():
        pytest.skip("nothing here refuses the superuser")
    with pytest.raises(ArchiveError, match=r"a\.db cannot be opened: see that its folder can be written to"):
        Archive.open(str(folder / "a.db"), create=True)
    tmp_path.chmod(0o700)


def test_a_database_that_may_only_be_read(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    Archive.open(path, create=True).close()
    with on_every_connection("PRAGMA query_only=ON"), Archive.open(path) as archive:
        assert archive.info().faces == 0
        with pytest.raises(ArchiveError, match=r"a\.db may only be read"):
            archive.register_codec(CODEC, "default")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "mysql://ann:secret@host/faces",
            r"ann:\*\*\*@host/faces is in a database .* SQLite and Postgres are",
        ),
        ("postgresql://ann:secret@host:port/faces", r"cannot be understood: write sqlite:///archive\.db"),
        ("sqlite://", r"names no file"),
        (":memory:", r"names no file"),
        ("", r"names no file"),
        ("sqlite:///a.db?mode=ro", r"has options after a '\?'"),
    ],
)
def test_another_database_is_refused_and_no_password_is_told(url: str, sentence: str) -> None:
    with pytest.raises(ArchiveError, match=sentence) as caught:
        Archive.open(url, create=True)
    assert "secret" not in str(caught.value)


def test_a_full_disk_is_said_and_what_was_there_is_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    with Archive.open(path, create=True) as archive:
        source_id = begin(archive)
        archive.add_track(source_id, made_track(0))
    added = 1

    def fill(archive: Archive) -> None:
        nonlocal added
        for ordinal in range(1, 1000):
            archive.add_track(source_id, made_track(ordinal))
            added += 1

    with on_every_connection("PRAGMA max_page_count=40"), Archive.open(path) as archive:
        with pytest.raises(ArchiveFull, match=r"No room is left for the archive .*a\.db.*: free some space"):
            fill(archive)
        assert len(archive.tracks()) == added > 1
    with Archive.open(path) as archive:
        assert archive.info().faces == added * 3
        archive.add_track(source_id, made_track(added))
        assert archive.info().tracks == added + 1


def test_an_archive_that_another_program_keeps_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage.sqlite, "LOCK_SECONDS", 0.1)
    path = tmp_path / "a.db"
    with Archive.open(str(path), create=True) as archive, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ArchiveError, match=r"Another program has kept the archive .*a\.db locked"):
            archive.register_codec(CODEC, "default")
        assert archive.info().faces == 0, "readers go on"


def test_a_damaged_database_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Archive.open(str(path), create=True) as archive:
        source_id = begin(archive)
        for ordinal in range(20):
            archive.add_track(source_id, made_track(ordinal))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    sentence = r"a\.db is damaged: put a backup in its place"
    with pytest.raises(ArchiveError, match=sentence), Archive.open(str(path)) as archive:
        archive.info()


def test_the_archive_can_be_moved_once_closed(tmp_path: Path) -> None:
    """Nothing of it stays behind in the log file beside it."""
    with Archive.open(str(tmp_path / "a.db"), create=True) as archive:
        archive.add_track(begin(archive), made_track(0))
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    with Archive.open(str(tmp_path / "b.db")) as archive:
        assert archive.info().tracks == 1
