"""Who is killed at any moment leaves whole tracks alone, or the archive as it was, and the next one goes on."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

from inside import rows
from made_processes import ingest, open_only
from made_tracks import CODEC, FACES_A_TRACK, START, made_track
from real_postgres import Server
from started import Started, killed_within, seconds_of

from storage import Archive
from storage.opening import HEAD
from streamproc.errors import ArchiveNotFound
from streamproc.types import SourceResult

GOLDEN = Path(__file__).parents[1] / "golden"
TIMES = 10


def assert_whole(url: str, at_least: int, at_most: int) -> None:
    """The database is sound, and every track in it is complete."""
    with Archive.open(url) as archive:
        rows(archive)
        tracks = archive.tracks()
        assert at_least <= len(tracks) <= at_most
        for track in tracks:
            made = made_track(int(track.id[-4:]))
            assert [archive.code(face_id) for face_id in track.face_ids] == [face.code for face in made.faces]


def test_an_ingest_killed_at_any_moment_can_be_completed(url: str) -> None:
    chance = random.Random(1)
    tracks, most = 30, 0
    for _ in range(TIMES):
        writer = Started(ingest, url, "door", tracks)
        said = [writer.hear() for _ in range(chance.randrange(tracks))]
        most = max(most, [*said, *writer.kill()].count("track"))
        try:
            assert_whole(url, at_least=most, at_most=tracks)
        except ArchiveNotFound:
            assert most == 0
    Started(ingest, url, "door", tracks).finish()
    assert_whole(url, tracks, tracks)
    with Archive.open(url) as archive:
        info = archive.info()
        assert (info.tracks, info.faces) == (tracks, tracks * FACES_A_TRACK)
        assert (info.bytes.base, info.bytes.enhancement) == (20 * info.faces, 200 * info.faces)
        entry = archive.begin_source("door", "/videos/door.mp4", "hash", START, CODEC)
        assert entry.complete
        assert entry.result == SourceResult("door", "/videos/door.mp4", tracks=tracks)


SHIFTED = {
    "tracks": {"key": "tracks", "ordinal": "tracks"},
    "faces": {"key": "faces", "track_key": "tracks"},
    "base_layers": {"face_key": "faces"},
    "enhancement_layers": {"face_key": "faces"},
}
"""Of each table's columns, those that grow as the keys of a table do."""


def grown(path: Path, revision: str, doublings: int) -> int:
    """How many faces the file has, an archive as that revision left it, its tracks many times over."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript((GOLDEN / f"archive_{revision}.sql").read_text(encoding="utf-8"))
        for number in range(doublings):
            [(tracks, faces)] = connection.execute("SELECT max(t.key), max(f.key) FROM tracks t, faces f")
            most = {"tracks": tracks, "faces": faces}
            for table, shifted in SHIFTED.items():
                values = {name: name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}
                values |= {name: f"{name} + {most[kind]}" for name, kind in shifted.items()}
                if "id" in values:
                    values["id"] = f"id || ' {number}'"
                connection.execute(f"INSERT INTO {table} SELECT {', '.join(values.values())} FROM {table}")
        return int(connection.execute("SELECT count(*) FROM faces").fetchone()[0])


def test_a_migration_killed_at_any_moment_leaves_the_old_archive_or_the_new_one(tmp_path: Path) -> None:
    path, chance = tmp_path / "old.db", random.Random(2)
    grown(tmp_path / "other.db", "0003", 8)
    seconds = seconds_of(open_only, str(tmp_path / "other.db"))
    found = set()
    for number in range(TIMES):
        if number == 0 or HEAD in found:
            for part in tmp_path.glob("old.db*"):
                part.unlink()
            faces = grown(path, "0003", 8)
            found.discard(HEAD)
        killed_within(seconds, chance, open_only, str(path))
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT count(*) FROM faces").fetchone() == (faces,)
            ((revision,),) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            found.add(revision)
    assert "0003" in found, "none was killed half-way"
    with Archive.open(str(path)) as archive:
        assert archive.face_changes(CODEC, archive.beginning(), 2 * faces).keys.size == faces


def test_a_first_opening_killed_at_any_moment_leaves_nothing_or_an_archive(postgres: Server) -> None:
    chance = random.Random(3)
    with postgres.archive("template0") as url:
        seconds = seconds_of(open_only, url)
    for _ in range(TIMES):
        with postgres.archive("template0") as url:
            killed_within(seconds, chance, open_only, url)
            try:
                Archive.open(url).close()
            except ArchiveNotFound:
                Archive.open(url, create=True).close()
            with Archive.open(url) as archive:
                assert archive.info().faces == 0
