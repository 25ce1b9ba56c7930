"""What only Postgres does: months in partitions, writers whose transactions interleave, a server that may be gone."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from unittest.mock import Mock

import pytest
from inside import change, rows
from made_tracks import CODEC, FACES_A_TRACK, START, begin, made_track
from real_postgres import Server
from sqlalchemy import create_engine, inspect, make_url, text

from storage import Archive, Rules, Terms, archive_condition, database, partitions, require_sound
from storage import postgres as module
from storage.postgres import PostgresDatabase
from storage.schema import Base
from streamproc.errors import ArchiveError, ArchiveFull, ArchiveNotFound, StreamprocError
from streamproc.types import CodedTrack

MONTH = timedelta(days=31)

ALL = Rules(Terms(faces=timedelta()))
"""What is over goes."""


@pytest.fixture
def url(postgres: Server) -> Iterator[str]:
    with postgres.archive() as url:
        yield url


def moved(track: CodedTrack, by: timedelta) -> CodedTrack:
    """The track, its shots as they were, begun and ended that much later."""
    return CodedTrack(track.ordinal, track.started_at + by, track.ended_at + by, track.detections, track.faces)


def test_the_tables_have_the_columns_that_are_described(archive: Archive) -> None:
    described = create_engine("postgresql+psycopg://").dialect
    with archive._reading() as connection:
        inspector = inspect(connection)
        for table in Base.metadata.sorted_tables:
            held = {column["name"]: column for column in inspector.get_columns(table.name)}
            assert list(held) == [column.name for column in table.columns]
            for column in table.columns:
                found = held[column.name]
                assert found["nullable"] == column.nullable, column
                kind = found["type"].compile(described).partition(" COLLATE")[0]
                assert kind == column.type.compile(described), column
            indexes = {tuple(index["column_names"]) for index in inspector.get_indexes(table.name)}
            assert {tuple(column.name for column in index.columns) for index in table.indexes} <= indexes


def test_tracks_lie_in_their_months(archive: Archive) -> None:
    source = begin(archive)
    for ordinal, months in enumerate((1, 0, 2, 0)):
        archive.add_track(source, moved(made_track(ordinal), months * MONTH))
    with archive._reading() as connection:
        found = connection.execute(text("SELECT tableoid::regclass::text, ordinal FROM tracks ORDER BY 1, 2")).all()
        faces = connection.execute(text("SELECT DISTINCT tableoid::regclass::text FROM faces ORDER BY 1")).all()
    assert found == [("tracks_2024_05_2", 1), ("tracks_2024_05_2", 3), ("tracks_2024_06_1", 0), ("tracks_2024_07_3", 2)]
    assert [name for (name,) in faces] == ["faces_2024_05_2", "faces_2024_06_1", "faces_2024_07_3"]
    assert [track.id[-4:] for track in archive.tracks()] == ["0001", "0003", "0000", "0002"]


def test_a_face_is_looked_for_in_its_tracks_month_alone(archive: Archive) -> None:
    source = begin(archive)
    for ordinal in range(3):
        archive.add_track(source, moved(made_track(ordinal), ordinal * MONTH))
    with archive._reading() as connection:
        key = connection.execute(text("SELECT min(track_key) FROM faces")).scalar_one()
        question = "EXPLAIN SELECT payload FROM faces JOIN tracks ON tracks.key = faces.track_key WHERE tracks.key = "
        plan = "\n".join(connection.execute(text(f"{question}{key}")).scalars())
    assert "2024_05" in plan
    assert "2024_06" not in plan


def test_a_month_that_fills_its_slot_gets_another(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "NEARLY", partitions.SLOT - 3)
    source = begin(archive)
    for ordinal in range(10):
        archive.add_track(source, made_track(ordinal))
    assert rows(archive, "track_months", "tracks") == [3, 10]
    assert len(archive.base_layers(CODEC).face_ids) == 10 * FACES_A_TRACK


def test_months_of_which_nothing_is_left_go_as_a_whole(archive: Archive, url: str) -> None:
    source = begin(archive)
    for ordinal in range(3):
        archive.add_track(source, moved(made_track(ordinal), ordinal * MONTH))
    assert archive.shrink(1) == 0
    list(archive.clear(ALL, START + 2 * MONTH))
    with Archive.open(url) as other, other._reading() as reader:
        reader.execute(text("SELECT count(*) FROM tracks"))
        assert archive.shrink(1) == 0, "nobody who reads is waited for"
    assert archive.shrink(1) > 0
    assert archive.shrink(1) > 0
    assert archive.shrink(1) == 0
    assert rows(archive, "track_months", "tracks", "removed_faces") == [1, 1, 2 * FACES_A_TRACK]
    archive.add_track(source, made_track(7))
    assert rows(archive, "track_months", "tracks") == [2, 2]


def test_a_follower_misses_nothing_that_is_committed_out_of_order(archive: Archive, url: str) -> None:
    """One adds and is not through; another adds after it and is; who follows waits for the first one."""
    archive.add_track(begin(archive), made_track(0))
    archive.add_track(begin(archive, "yard"), made_track(0, "yard"))
    position = archive.face_changes(CODEC, archive.beginning(), 100).position
    seen: list[int] = []
    with Archive.open(url) as slow, slow._writing("beside") as connection:
        first = text(
            "INSERT INTO faces (track_key, rank, moment, placement, codec_key, checksum, payload) "
            "SELECT track_key, 9, moment, placement, codec_key, checksum, payload FROM faces LIMIT 1"
        )
        connection.execute(first)
        archive.add_track(begin_beside(archive, "yard"), made_track(1, "yard"))
        assert len(archive.base_layers(CODEC).face_ids) == 3 * FACES_A_TRACK, "it is through, and can be read"
        follower = threading.Thread(
            target=lambda: seen.extend(archive.face_changes(CODEC, position, 100).keys.tolist())
        )
        follower.start()
        follower.join(0.3)
        assert follower.is_alive(), "it waits for the first"
    follower.join(10)
    assert len(seen) == 1 + FACES_A_TRACK
    assert min(seen) == position.face_key + 1


def begin_beside(archive: Archive, camera: str) -> str:
    """The id of the camera's source, looked up without writing: that would wait."""
    return next(track.source_id for track in archive.tracks([camera]))


def test_two_who_add_to_one_source_do_so_one_after_the_other(archive: Archive, url: str) -> None:
    source = begin(archive)
    threads = []
    with Archive.open(url) as other:
        for opened in (archive, other):
            tracks = [made_track(ordinal) for ordinal in range(20)]
            threads.append(threading.Thread(target=lambda a=opened, t=tracks: [a.add_track(source, one) for one in t]))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert rows(archive) == [1, 20, 60, 60, 60]


def test_a_picture_that_two_faces_share_stays_until_both_are_gone(archive: Archive) -> None:
    for camera in ("door", "yard"):
        archive.add_track(begin(archive, camera), made_track(0))
    assert rows(archive) == [2, 2, 6, 6, 3]
    change(archive, "DELETE FROM tracks WHERE source_key = (SELECT min(key) FROM sources)")
    assert rows(archive) == [2, 1, 3, 3, 3]
    change(archive, "DELETE FROM tracks")
    assert rows(archive) == [2, 0, 0, 0, 0]


def test_who_reads_cannot_write(archive: Archive) -> None:
    with pytest.raises(ArchiveError, match="may only be read"), archive._reading() as connection:
        connection.execute(text("DELETE FROM tracks"))


def test_its_condition_and_soundness(archive: Archive, url: str) -> None:
    source = begin(archive)
    for minutes in (0, 60, 120):
        archive.add_track(source, made_track(minutes))
    held = archive_condition(url)
    assert (held.codecs[0].faces, held.newest) == (9, START + timedelta(minutes=120, seconds=20))
    assert held.bytes_a_day is not None
    require_sound(url)


# What can be wrong


@contextmanager
def nobody() -> Iterator[int]:
    """A port at which nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    yield port


def test_a_server_that_cannot_be_reached() -> None:
    with nobody() as port, pytest.raises(ArchiveNotFound, match=r"faces cannot be reached: see that it runs") as caught:
        Archive.open(f"postgresql+psycopg://ann:secret@127.0.0.1:{port}/faces", create=True)
    assert f"ann@127.0.0.1:{port}/faces" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_host_that_nobody_knows() -> None:
    with pytest.raises(ArchiveNotFound, match="cannot be reached"):
        database("postgresql://nowhere.invalid/faces").require_place(create=True)


def test_a_wrong_password_is_not_told(postgres: Server, url: str) -> None:
    postgres.run("CREATE ROLE ann LOGIN PASSWORD 'right'")
    rules = postgres.folder / "pg_hba.conf"
    before = rules.read_text()
    try:
        rules.write_text(f"local all ann scram-sha-256\n{before}")
        postgres.run("SELECT pg_reload_conf()")
        for login in ("ann:secret", "ann", "nobody-known"):
            wrong = url.replace("postgres@", f"{login}@")
            with pytest.raises(ArchiveError, match=r"does not let this user in: see to user and password") as caught:
                Archive.open(wrong, create=True)
            assert "secret" not in str(caught.value)
        # Who is let in and may nothing.
        with (
            pytest.raises(ArchiveError, match=r"may not do this: make it the owner"),
            Archive.open(url.replace("postgres@", "ann:right@")) as archive,
        ):
            archive.info()
    finally:
        rules.write_text(before)
        postgres.run("SELECT pg_reload_conf()")
        postgres.run("DROP ROLE ann")


def test_a_database_that_is_not_there(postgres: Server) -> None:
    with pytest.raises(ArchiveNotFound, match=r"The server has no database for .*/none_such: make it with `createdb`"):
        Archive.open(postgres.url("none_such"), create=True)


def test_an_empty_database_and_one_of_another_program(postgres: Server) -> None:
    with postgres.archive("template0") as url:
        with pytest.raises(ArchiveNotFound, match=r"is empty, there is no archive in it: ingest a video first"):
            Archive.open(url)
        name = make_url(url).database
        postgres.run("CREATE TABLE bookmarks (url text)", str(name))
        for create in (False, True):
            with pytest.raises(ArchiveError, match="is a database of another program: name another one"):
                Archive.open(url, create=create)


def test_a_url_without_a_database() -> None:
    with pytest.raises(ArchiveError, match=r"ann@host.* names no database: write it after the last slash") as caught:
        Archive.open("postgresql://ann:secret@host", create=True)
    assert "secret" not in str(caught.value)


def test_a_server_without_pgvector(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VECTOR", "no_such_extension")
    with postgres.archive("template0") as url:
        with pytest.raises(ArchiveError, match=r"lacks the extension pgvector: install it on the server"):
            Archive.open(url, create=True)
        monkeypatch.undo()
        with Archive.open(url, create=True) as archive:
            assert archive.info().faces == 0, "nothing was left behind"


def test_a_server_that_is_too_old() -> None:
    place = database("postgresql://host/faces")
    assert isinstance(place, PostgresDatabase)
    old = Mock()
    old.info.server_version = 140_011
    with pytest.raises(ArchiveError, match=r"is Postgres 14: 15 or newer is needed"):
        place._require_version(old, None)


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        ("53100", ArchiveFull, "No room is left for the archive"),
        ("53300", ArchiveError, "too many connections"),
        ("25006", ArchiveError, "may only be read"),
        ("XX001", ArchiveError, "is damaged: put a backup in its place"),
        ("58030", ArchiveError, "The disk failed under the archive"),
    ],
)
def test_what_a_server_says_is_explained(
    archive: Archive, code: str, kind: type[StreamprocError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence), archive._writing() as connection:
        connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$"))
    archive.register_codec(CODEC, "default")


def test_a_connection_lost_in_the_middle_is_said_and_the_next_one_works(
    archive: Archive, postgres: Server, url: str
) -> None:
    def end_all() -> None:
        name = make_url(url).database
        postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def lose_one() -> None:
        with archive._writing() as connection:
            connection.execute(text("DELETE FROM tracks"))
            end_all()
            connection.execute(text("SELECT 1"))

    source = begin(archive)
    archive.add_track(source, made_track(0))
    with pytest.raises(ArchiveError, match=r"connection to the archive .* was lost"):
        lose_one()
    assert len(archive.tracks()) == 1
    end_all()
    archive.add_track(source, made_track(1))
    assert len(archive.tracks()) == 2


def test_an_archive_that_another_program_keeps_locked(
    archive: Archive, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.1)
    with Archive.open(url) as other, other._writing():
        with pytest.raises(ArchiveError, match=r"has kept the archive .* locked"):
            archive.register_codec(CODEC, "default")
        assert archive.info().faces == 0, "readers go on"
