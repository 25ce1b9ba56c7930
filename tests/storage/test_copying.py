"""A copy holds what the archive holds, under the same names; or there is none."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inside import change, rows
from made_processes import copy_all
from made_tracks import CODEC, START, begin, made_track
from real_postgres import Server
from started import killed_within, seconds_of
from typer.testing import CliRunner

from pipelines.cli.app import app
from storage import Archive, Rules, Terms, copying
from storage.copying import copy_archive
from storage.schema import Base
from streamproc.errors import ArchiveError, ArchiveNotFound
from streamproc.types import GapReason, SourceResult

Fresh = Callable[[], AbstractContextManager[str]]

ALL = Rules(Terms(faces=timedelta()))
"""What is over goes."""


def silent(name: str, done: int, total: int) -> None:
    assert 0 < done <= total, name


@pytest.fixture(params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A place without an archive."""
    if request.param == "sqlite":
        yield str(tmp_path_factory.mktemp("copies") / "copy.db")
    else:
        server: Server = request.getfixturevalue("postgres")
        with server.archive("template0") as url:
            yield url


def fill(archive: Archive) -> None:
    """Something of everything; keys with holes, identities of which the last is gone."""
    for camera in ("door", "yard"):
        source = begin(archive, camera)
        for ordinal in (3, 0, 50_000, 4, 1):
            archive.add_track(source, made_track(ordinal, camera, enhanced=ordinal != 4))
        archive.add_track(source, made_track(3, camera + " again"))
    archive.finish_source(source, SourceResult("yard", "/videos/yard.mp4", 10, 1, 9, 5, 15, 2.5))
    archive.resume_session("the check", "known", START, CODEC, hidden=True)
    archive.ledger.watched("door", START)
    archive.ledger.end_gap(
        archive.ledger.begin_gap("door", START, GapReason.BLACK, "dark").id, START + timedelta(minutes=1)
    )
    tracks = [track.id for track in archive.tracks()]
    first, second, third = archive.identities.begin(START, 3)
    archive.identities.assign({tracks[0]: str(first), tracks[1]: str(second), tracks[2]: str(first)})
    archive.identities.enter('{"act": "name"}', "ann", START, 0)
    watch = archive.watches.add_photo("bob", CODEC, np.linspace(0, 1, 64, dtype=np.float32), 0.5, START)
    archive.watches.add_identity("first", first, START)
    archive.watches.sight([(watch.key, tracks[3], 0.9), (watch.key, tracks[1], 0.8)], START)
    change(archive, "DELETE FROM identities WHERE key = :key", key=third)


def told(archive: Archive) -> Any:
    """All that an archive answers with, but for its own name and what is the database's."""
    tracks = archive.tracks() + archive.tracks(["the check"])
    faces = [face for track in tracks for face in track.face_ids]
    info = archive.info()
    return (
        tracks,
        archive.faces(faces),
        [archive.code(face) for face in faces],
        replace(info, bytes=replace(info.bytes, index=0, file=0)),
        sorted(archive.base_layers(CODEC).payloads),
        archive.identities.acts(),
        archive.identities.all(),
        [(watch.key, watch.name, watch.identity, watch.quality) for watch in archive.watches.all()],
        archive.watches.sightings(),
        archive.completed_source("yard", "hash", CODEC),
        archive.ledger.watched_until("door"),
        archive.camera_keys(),
    )


def test_a_copy_tells_what_the_archive_tells(archive: Archive, url: str, target: str) -> None:
    fill(archive)
    copied = copy_archive(url, target, silent)
    counts = {part.name: part.rows for part in copied.tables}
    assert counts["tracks"] == 10
    assert counts["faces"] == 30
    with Archive.open(target) as copy:
        assert told(copy) == told(archive)
        assert copy.beginning().archive_id == copied.archive_id != archive.beginning().archive_id
        assert rows(copy) == rows(archive)
        changes = copy.face_changes(CODEC, copy.beginning(), 100)
        assert sorted(changes.payloads) == sorted(archive.base_layers(CODEC).payloads)
        assert copy.identities.begin(START) == archive.identities.begin(START), "a number is never given again"
        for opened in (archive, copy):
            opened.add_track(begin(opened), made_track(9))
            opened.ledger.begin_gap("door", START, GapReason.SILENT, "")
            list(opened.clear(ALL, START + timedelta(minutes=2)))
        assert told(copy) == told(archive), "both go on as the one would have"
        new = copy.face_changes(CODEC, changes.position, 100)
        assert (new.keys.size, new.removed.size) == (3, 6), "what a watch saw stays"


def test_there_and_back_again_is_the_same(archive: Archive, url: str, target: str, tmp_path: Path) -> None:
    fill(archive)
    copied = copy_archive(url, target, silent)
    assert {part.name for part in copied.tables} == set(Base.metadata.tables) - {"archives", "removed_faces"}
    back = str(tmp_path / "back.db")
    copy_archive(target, back, silent)
    with Archive.open(back) as again:
        assert told(again) == told(archive)


def test_what_hangs_on_tracks_and_faces_goes_with_them(archive: Archive, url: str, target: str) -> None:
    fill(archive)
    change(archive, "INSERT INTO holds SELECT key, 1, 'ann', 'evidence' FROM tracks WHERE ordinal = 50000")
    change(
        archive,
        "INSERT INTO recodings (codec_key, weights, replaces, began_at) SELECT key, 'b', 'a', 1 FROM codecs LIMIT 1",
    )
    change(
        archive,
        "INSERT INTO recoded_layers (recoding_key, face_key, checksum, payload) "
        "SELECT 1, key, checksum, payload FROM faces WHERE rank = 1",
    )
    copied = {part.name: part.rows for part in copy_archive(url, target, silent).tables}
    assert (copied["holds"], copied["recodings"], copied["recoded_layers"]) == (2, 1, 10)
    with Archive.open(target) as copy:
        assert rows(
            copy,
            "holds JOIN tracks ON tracks.key = holds.track_key AND tracks.ordinal = 50000",
            "recoded_layers r JOIN faces f ON f.key = r.face_key AND f.payload = r.payload",
        ) == [2, 10]


def test_an_archive_is_not_copied_over(url: str, fresh: Fresh) -> None:
    Archive.open(url, create=True).close()
    with (
        fresh() as other,
        Archive.open(other, create=True),
        pytest.raises(ArchiveError, match="an archive at"),
    ):
        copy_archive(url, other, silent)


def test_a_copy_that_differs_is_not_kept(
    archive: Archive, url: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(archive)
    put = copying._Copy._put

    def damaging(self: copying._Copy, table: Any, found: copying.Rows) -> None:
        put(self, table, found)
        if table.name == "faces":
            self._write.exec_driver_sql("UPDATE faces SET rank = rank + 7 WHERE rank = 2")

    monkeypatch.setattr(copying._Copy, "_put", damaging)
    with pytest.raises(ArchiveError, match="What was written of 'faces' is not what was read: nothing was kept"):
        copy_archive(url, target, silent)
    monkeypatch.undo()
    with pytest.raises(ArchiveNotFound, match="is empty"):
        Archive.open(target)
    copy_archive(url, target, silent)


def test_a_copy_killed_at_any_moment_is_no_archive_and_can_be_made_again(target: str, tmp_path: Path) -> None:
    url = str(tmp_path / "archive.db")
    with Archive.open(url, create=True) as archive:
        fill(archive)
        archive.add_tracks(begin(archive), [made_track(100 + ordinal) for ordinal in range(200)])
    seconds, chance = seconds_of(copy_all, url, str(tmp_path / "first.db")), random.Random(4)
    for _ in range(10):
        killed_within(0.8 * seconds, chance, copy_all, url, target)
        try:
            Archive.open(target).close()
        except ArchiveNotFound:
            continue
        break  # it was through
    else:
        copy_archive(url, target, silent)
    with Archive.open(url) as archive, Archive.open(target) as copy:
        assert rows(copy) == rows(archive)
        assert sorted(copy.base_layers(CODEC).payloads) == sorted(archive.base_layers(CODEC).payloads)


def test_the_command(archive: Archive, url: str, target: str) -> None:
    fill(archive)
    run = CliRunner().invoke(app, ["copy", "--from", url, "--to", target, "--json"])
    assert run.exit_code == 0, run.stderr
    said = json.loads(run.stdout)
    assert {part["name"]: part["rows"] for part in said["tables"]}["sightings"] == 2
    again = CliRunner().invoke(app, ["copy", "--from", url, "--to", target])
    assert again.exit_code == 1
    assert "already: name another place for the copy" in again.stderr
    nowhere = CliRunner().invoke(app, ["copy", "--from", "nowhere.db", "--to", target])
    assert nowhere.exit_code == 1
    assert "no archive nowhere.db" in nowhere.stderr


def test_migrate(url: str) -> None:
    Archive.open(url, create=True).close()
    run = CliRunner().invoke(app, ["migrate", "--archive", url, "--json"])
    assert run.exit_code == 0, run.stderr
    assert json.loads(run.stdout)["from"] == json.loads(run.stdout)["to"]
