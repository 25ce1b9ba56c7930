"""Backup, restore, erasure and mending of an archive that a server keeps."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from inside import change
from made_tracks import START, begin, made_track
from real_postgres import Server
from test_erasure import WHO, held_in, layers, tracks_of

from storage import Archive, examine
from storage.backup import back_up
from storage.restoring import restore
from storage.verifying import unseen
from streamproc.errors import ArchiveError

Fresh = Callable[[], AbstractContextManager[str]]


@pytest.fixture
def url(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An archive of 20 tracks in a database of its own."""
    monkeypatch.setenv("STREAMPROC_CACHE", str(tmp_path / "cache"))
    with postgres.archive() as place:
        with Archive.open(place) as archive:
            archive.add_tracks(begin(archive), [made_track(k) for k in range(20)])
        yield place


def test_there_and_back(url: str, postgres: Server, tmp_path: Path) -> None:
    made = back_up(url, tmp_path / "b.db")
    assert (made.tracks, made.faces) == (20, 60)
    assert [path.name for path in tmp_path.glob("*b.db*")] == ["b.db", "b.db.sha256"]
    restore(made.path, str(tmp_path / "c.db"))
    with pytest.raises(ArchiveError, match="There is an archive at"):
        restore(made.path, url, force=True)
    with postgres.archive("template0") as empty:
        back = restore(made.path, empty)
        assert (back.tracks, back.faces) == (20, 60)
        for other in (empty, str(tmp_path / "c.db")):
            with Archive.open(url) as one, Archive.open(other) as two:
                assert one.tracks() == two.tracks()
                faces = [face for track in one.tracks() for face in track.face_ids]
                assert list(map(one.code, faces)) == list(map(two.code, faces))


def test_nothing_is_left_in_the_servers_files(url: str, postgres: Server) -> None:
    parts = [value[:20] for value in layers()]
    with Archive.open(url) as archive:
        source = archive.tracks()[0].source_id
        for statement in ("ALTER TABLE faces ALTER payload SET STATISTICS 1000", "ANALYZE", "CHECKPOINT"):
            postgres.run(statement, url.partition("@/")[2].partition("?")[0])
        assert held_in(postgres.folder / "base", parts) != [], "they are there to be erased, and in samples"
        report = archive.erasing.erase(tracks_of(source), START, unseen)
        assert report.proves
        assert (report.tracks, report.faces, report.pictures, report.rewritten) == (3, 9, 9, True)
        assert {"base", "pg_wal"} <= {part for one in report.files for part in one.path.parts}
        assert held_in(postgres.folder, parts) == []
        assert len(archive.tracks()) == 20 - len(WHO)


def test_what_does_not_agree_is_mended(url: str) -> None:
    assert examine(url) == []
    with Archive.open(url) as archive:
        change(archive, "UPDATE faces SET checksum = checksum # 1 WHERE rank = 1")
        change(archive, "UPDATE tracks SET identity_id = 'p99' WHERE ordinal = 2")
        change(archive, "INSERT INTO removed_faces (face_key) SELECT min(key) FROM faces")
    found = examine(url)
    assert found is not None
    assert len(found) == 3
    assert all(one.mended for one in examine(url, mend=True) or ())
    assert examine(url) == []
