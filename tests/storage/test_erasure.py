"""After an erasure no byte of the person is in any file of the archive, and whoever is killed meanwhile can go on."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from made_tracks import CODEC, START, begin, made_track
from test_opening import on_every_connection

from storage import Archive
from storage.erasing import Erasure
from storage.verifying import unseen

WHO = (3, 4, 17)
"""The tracks of the person, among 40."""
LONG = 20_000
"""Bytes of an enhancement layer that takes several pages."""


def tracks_of(source: str, who: Sequence[int] = WHO) -> Erasure:
    return Erasure(tuple(f"{source}-{k:04d}" for k in who), (), (), (), {}, '{"kind": "erased"}', "me", 0)


def layers(who: Sequence[int] = WHO) -> list[bytes]:
    """The bytes of the person's base and enhancement layers."""
    codes = [face.code for k in who for face in made_track(k).faces]
    return [code.base for code in codes] + [code.enhancement or b"" for code in codes]


def held_in(folder: Path, values: Sequence[bytes]) -> list[str]:
    """The files below the folder that hold one of the values, or 16 bytes in a row of one, found by Python itself."""
    parts = [value[k : k + 16] for value in values for k in range(0, len(value) - 15, 4)]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if any(part in path.read_bytes() for part in parts)]


def filled(archive: Archive) -> str:
    """The source that was filled with 40 tracks, one of them twice."""
    source = begin(archive)
    for k in range(40):
        archive.add_track(source, made_track(k))
    return source


def test_nothing_is_left_in_any_file(tmp_path: Path) -> None:
    with Archive.open(str(tmp_path / "a.db"), create=True) as archive:
        source = filled(archive)
        index = tmp_path / "a.db.index" / CODEC
        index.mkdir(parents=True)
        (index / "1.segment").write_bytes(layers()[0])
        assert held_in(tmp_path, layers()), "they are there to be erased"
        going = archive.erasing.going(tracks_of(source))
        assert (going.tracks, going.faces, going.pictures) == (3, 9, 9)
        report = archive.erasing.erase(tracks_of(source), START, unseen)
        assert held_in(tmp_path, layers()) == []
        assert report.proves
        assert (report.tracks, report.faces, report.pictures, report.index_removed) == (3, 9, 9, True)
        assert report.pieces >= len(layers())
        assert {"a.db", "a.db-wal"} <= {one.path.name for one in report.files}
        assert not index.exists()
        left = [made_track(k) for k in range(40) if k not in WHO]
        assert [archive.code(face) for track in archive.tracks() for face in track.face_ids] == [
            face.code for track in left for face in track.faces
        ]
        assert archive.erasing.complete(unseen) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db"]


def test_what_was_removed_without_overwriting_is_found_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with on_every_connection("PRAGMA secure_delete=OFF"):
        with Archive.open(str(path), create=True) as archive:
            source = filled(archive)
            archive.add_track(source, replace(made_track(WHO[0]), ordinal=40))
        with closing(sqlite3.connect(path)) as careless:
            careless.execute("PRAGMA secure_delete=OFF")
            careless.execute("PRAGMA foreign_keys=ON")
            careless.execute(f"DELETE FROM tracks WHERE ordinal = {WHO[0]}")
            careless.commit()
            careless.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert held_in(tmp_path, layers(WHO[:1])) == ["a.db"], "without overwriting the bytes stay: the search can fail"
    with Archive.open(str(path)) as archive:
        report = archive.erasing.erase(tracks_of(source, (40,)), START, unseen)
        assert report.rewritten
        assert held_in(tmp_path, layers(WHO[:1])) == []
        assert archive.info().tracks == 39
