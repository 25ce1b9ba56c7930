"""What is told of an archive before it is worked with."""

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import made_tracks
import pytest

from storage import Archive, TrackAdded, archive_condition


def test_an_older_archive_is_not_touched(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    connection = sqlite3.connect(old)
    connection.executescript((Path(__file__).parents[1] / "golden" / "archive_0001.sql").read_text())
    connection.close()
    before = old.read_bytes()
    held = archive_condition(str(old))
    assert held.revision == "0001"
    assert held.newest_revision > held.revision
    assert old.read_bytes() == before
    with Archive.open(str(old)):
        pass
    assert archive_condition(str(old)).revision == held.newest_revision


def test_how_much_is_written_a_day(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    with Archive.open(str(path), create=True) as archive:
        source = made_tracks.begin(archive)
        for minutes in (0, 60, 120):
            archive.add_track(source, made_tracks.made_track(minutes))
    held = archive_condition(str(path))
    assert held.bytes_a_day == pytest.approx(path.stat().st_size * 12, rel=0.01)  # all of it came in two hours
    assert held.newest == made_tracks.START + timedelta(minutes=120, seconds=20)


def test_what_is_new_of_a_track_is_told_once(tmp_path: Path) -> None:
    track = made_tracks.made_track(0)
    first, second, third = track.faces
    with Archive.open(str(tmp_path / "site.db"), create=True) as archive:
        source = made_tracks.begin(archive)
        news = [archive.add_track(source, replace(track, faces=shots)) for shots in ((first,), (second, first), ())]
        whole = archive.add_track(source, track)
        again = archive.add_track(source, track)
        faces = archive.info().faces
    captured = {face: face.time.captured_at for face in track.faces}
    assert news == [
        TrackAdded(True, 1, (captured[first],)),
        TrackAdded(False, 1, (captured[second],)),
        TrackAdded(False, -2, ()),
    ]
    assert whole == TrackAdded(False, 3, (captured[first], captured[second], captured[third]))
    assert again == TrackAdded(False, 0, ())
    assert faces == 3
