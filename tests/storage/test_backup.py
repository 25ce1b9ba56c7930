"""A backup is whole or not there, and an archive of any schema comes back from it."""

import hashlib
import random
import sqlite3
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from killing import killed_at_random
from made_processes import ingest
from made_tracks import START, begin, made_track
from started import Started
from test_agreement import hurt
from test_migrations import GOLDEN, old_archive

from storage import Archive, Rules, Terms, examine
from storage.backup import back_up, sidecar, verified_backup
from storage.opening import HEAD
from storage.restoring import restore
from streamproc.errors import ArchiveError, ArchiveFull, ArchiveNotFound

REVISIONS = sorted(path.stem.removeprefix("archive_") for path in GOLDEN.glob("archive_*.sql"))
MOMENTS = 10


def filled(path: Path, tracks: int, camera: str = "door") -> Path:
    """An archive of so many tracks before one camera."""
    with Archive.open(str(path), create=True) as archive:
        archive.add_tracks(begin(archive, camera), [made_track(k, camera) for k in range(tracks)])
    return path


def cameras(path: Path) -> dict[str, int]:
    """Tracks by camera, after all of them were found to be what they were."""
    found = examine(str(path))
    assert found is not None
    assert [one for one in found if "killed" not in one.said and "write-ahead" not in one.said] == []
    with Archive.open(str(path)) as archive:
        for track in archive.tracks():
            made = made_track(int(track.id[-4:]), track.camera)
            assert [archive.code(face) for face in track.face_ids] == [face.code for face in made.faces]
        return {camera.name: camera.tracks for camera in archive.info().cameras}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_backup_comes_back_as_an_archive_of_its_own(tmp_path: Path) -> None:
    archive = filled(tmp_path / "a.db", 20)
    with Archive.open(str(archive)) as held:
        list(held.clear(Rules(Terms(faces=timedelta())), START))  # something was removed once
        made = back_up(str(archive), tmp_path / "b.db")
        position = held.beginning()
    assert (made.revision, made.tracks, made.faces, made.damaged) == (HEAD, 20, 60, 0)
    assert made.sha256 == hashlib.sha256((tmp_path / "b.db").read_bytes()).hexdigest()
    assert sidecar(made.path).read_text() == f"{made.sha256}  b.db\n"
    back = restore(made.path, str(tmp_path / "c.db"))
    assert (back.revision, back.tracks, back.faces) == (HEAD, 20, 60)
    assert cameras(tmp_path / "c.db") == cameras(archive) == {"door": 20}
    with Archive.open(str(tmp_path / "c.db")) as again, again._engine.connect() as connection:
        assert again.beginning() != position, "an index of the one is none of the other"
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert names(tmp_path) == ["a.db", "b.db", "b.db.sha256", "c.db"]


@pytest.mark.parametrize("revision", REVISIONS)
def test_backups_of_every_released_schema_are_restored(tmp_path: Path, revision: str) -> None:
    old_archive(tmp_path / "old.db", revision)
    before = (tmp_path / "old.db").read_bytes()
    made = back_up(str(tmp_path / "old.db"), tmp_path / "backup.db")
    assert (tmp_path / "old.db").read_bytes() == before, "nothing is brought up to date for a backup"
    back = restore(made.path, str(tmp_path / "new.db"))
    assert (made.revision, back.from_revision, back.revision) == (revision, revision, HEAD)
    assert made.faces == back.faces > 0
    with Archive.open(str(tmp_path / "old.db")) as here, Archive.open(str(tmp_path / "new.db")) as there:
        assert here.tracks() == there.tracks()
        faces = [face for track in here.tracks() for face in track.face_ids]
        assert list(map(here.code, faces)) == list(map(there.code, faces))
        assert here.gaps() == there.gaps()


def test_others_write_meanwhile(tmp_path: Path) -> None:
    path, counts = tmp_path / "a.db", []
    writer = Started(ingest, str(path), "door", 150)
    assert writer.hear() == "open"
    while writer.running:
        counts.append(back_up(str(path), tmp_path / "b.db", force=True).tracks)
        for _ in range(10):
            writer.hear()
    writer.finish()
    assert counts == sorted(counts)
    assert any(0 < count < 150 for count in counts), "some were made while it wrote"
    assert back_up(str(path), tmp_path / "b.db", force=True).tracks == 150


def test_what_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    archive = filled(tmp_path / "a.db", 2)
    made = back_up(str(archive), tmp_path / "b.db")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ArchiveError, match=r"There is a file .*b\.db already"):
        back_up(str(archive), made.path)
    with pytest.raises(ArchiveError, match="is the archive itself"):
        back_up(str(archive), archive, force=True)
    with pytest.raises(ArchiveError, match=r"There is an archive .*a\.db already"):
        restore(made.path, str(archive))
    with pytest.raises(ArchiveError, match="There is no folder"):
        back_up(str(archive), tmp_path / "nowhere" / "b.db")
    with pytest.raises(ArchiveNotFound):
        back_up(str(tmp_path / "none.db"), tmp_path / "c.db")
    with pytest.raises(ArchiveNotFound):
        restore(tmp_path / "none.db", str(tmp_path / "c.db"))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_archive_in_use_is_not_replaced(tmp_path: Path) -> None:
    archive, made = filled(tmp_path / "a.db", 2), filled(tmp_path / "b.db", 3, "yard")
    with Archive.open(str(archive)) as used:
        assert used.info().tracks == 2
        with pytest.raises(ArchiveError, match="is in use"):
            restore(made, str(archive), force=True)
        used.add_track(begin(used), made_track(2, "door"))
    assert cameras(archive) == {"door": 3}
    restore(made, str(archive), force=True)
    assert cameras(archive) == {"yard": 3}
    assert names(tmp_path) == ["a.db", "b.db"]


def test_a_damaged_archive_is_replaced(tmp_path: Path) -> None:
    archive, made = filled(tmp_path / "a.db", 20), filled(tmp_path / "b.db", 3, "yard")
    data = bytearray(archive.read_bytes())
    data[:200] = bytes(200)
    archive.write_bytes(data)
    (tmp_path / "a.db-wal").write_bytes(b"a log of the damaged one")
    restore(made, str(archive), force=True)
    assert cameras(archive) == {"yard": 3}
    assert names(tmp_path) == ["a.db", "b.db"]


def test_no_flipped_byte_of_a_backup_is_restored(tmp_path: Path) -> None:
    made = back_up(str(filled(tmp_path / "a.db", 10)), tmp_path / "b.db").path
    data, chance = made.read_bytes(), random.Random(3)
    for place in chance.sample(range(len(data)), 20):
        made.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        with pytest.raises(ArchiveError, match=r"b\.db"):
            restore(made, str(tmp_path / "c.db"))
    for size in (0, 100, 4096, len(data) - 1):
        made.write_bytes(data[:size])
        sidecar(made).unlink(missing_ok=True)  # without what tells it by its hash
        with pytest.raises(ArchiveError, match=r"b\.db"):
            restore(made, str(tmp_path / "c.db"))
    made.write_text("no database")
    with pytest.raises(ArchiveError, match=r"b\.db"):
        restore(made, str(tmp_path / "c.db"))
    assert names(tmp_path) == ["a.db", "b.db"]


def test_what_is_damaged_in_the_archive_is_told_and_backed_up(tmp_path: Path) -> None:
    archive = filled(tmp_path / "a.db", 3)
    hurt(archive, "UPDATE faces SET payload = x'0102' WHERE \"key\" = 2")
    made = back_up(str(archive), tmp_path / "b.db")
    assert (made.faces, made.damaged) == (9, 1)
    assert restore(made.path, str(tmp_path / "c.db")).damaged == 1


def test_a_newer_archive_is_not_restored(tmp_path: Path) -> None:
    archive = filled(tmp_path / "a.db", 3)
    hurt(archive, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ArchiveError, match="newer streamproc"):
        back_up(str(archive), tmp_path / "b.db")
    with pytest.raises(ArchiveError, match="newer streamproc"):
        restore(archive, str(tmp_path / "b.db"))


def test_without_room_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = filled(tmp_path / "a.db", 50)
    connect = sqlite3.connect

    def small(name: object, **options: object) -> sqlite3.Connection:
        connection = connect(name, **options)  # type: ignore[call-overload]
        if "unfinished" in str(name):
            connection.execute("PRAGMA max_page_count=5")
        return connection  # type: ignore[no-any-return]

    monkeypatch.setattr("storage.backup.sqlite3.connect", small)
    with pytest.raises(ArchiveFull, match=r"No room is left for .*b\.db, which takes .* MiB"):
        back_up(str(archive), tmp_path / "b.db")
    monkeypatch.setattr("storage.backup.shutil.disk_usage", lambda _: type("Disk", (), {"free": 10_000}))
    with pytest.raises(ArchiveFull, match=r"No room is left for .*c\.db, which takes .* MiB"):
        restore(archive, str(tmp_path / "c.db"))
    assert names(tmp_path) == ["a.db"]


def test_a_killed_backup_leaves_the_one_before_or_the_new_one(tmp_path: Path) -> None:
    archive, target = filled(tmp_path / "a.db", 30), tmp_path / "b.db"
    there = set()
    for _ in killed_at_random(partial(back_up, str(archive), target, force=True), MOMENTS, random.Random(1)):
        there.add(target.exists())
        if target.exists():
            assert verified_backup(target).rows["tracks"] == 30
            target.unlink()
            sidecar(target).unlink(missing_ok=True)
    assert there == {True, False}
    back_up(str(archive), target, force=True)
    for _ in killed_at_random(partial(back_up, str(archive), target, force=True), MOMENTS, random.Random(2)):
        assert verified_backup(target).rows["tracks"] == 30
    back_up(str(archive), target, force=True)
    assert names(tmp_path) == ["a.db", "b.db", "b.db.sha256"]
    assert cameras(archive) == {"door": 30}


def test_a_killed_restore_leaves_the_former_archive_or_the_new_one(tmp_path: Path) -> None:
    former, backup = (
        filled(tmp_path / "former.db", 10),
        back_up(str(filled(tmp_path / "b.db", 30, "yard")), tmp_path / "b"),
    )
    target, seen = tmp_path / "a.db", set()
    target.write_bytes(former.read_bytes())
    for _ in killed_at_random(partial(restore, backup.path, str(target), force=True), MOMENTS, random.Random(3)):
        held = cameras(target)
        seen.add(tuple(held))
        assert held in ({"door": 10}, {"yard": 30})
        target.write_bytes(former.read_bytes())
    assert seen == {("door",), ("yard",)}
    restore(backup.path, str(target), force=True)
    assert cameras(target) == {"yard": 30}
    assert names(tmp_path) == ["a.db", "b", "b.db", "b.sha256", "former.db"]
