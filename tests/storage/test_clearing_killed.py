"""Clearing up that is killed at any moment takes nothing that is not over its time, and the next one completes it."""

import random
import signal
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from clearing_process import NOW, start
from made_tracks import FACES_A_TRACK, START, begin, made_track

from storage import Archive
from streamproc.types import Layer

TRACKS, OLD, OLD_PICTURES, HELD = 160, 80, 130, (3, 47)
"""So many tracks; so many are over their time, so many their pictures'; these are held."""


def checked(path: Path, came: int) -> int:
    """How many tracks are there; whatever is not over its time is whole."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        orphans = "SELECT count(*) FROM enhancement_blobs WHERE digest NOT IN (SELECT digest FROM enhancement_layers)"
        assert connection.execute(orphans).fetchone() == (0,)
        removed = connection.execute("SELECT count(*) FROM removed_faces").fetchone()[0]
    with Archive.open(str(path)) as archive:
        tracks = {int(track.id[-4:]): track for track in archive.tracks()}
        assert {*HELD, *range(OLD, TRACKS), *range(TRACKS, TRACKS + came)} <= set(tracks)
        for ordinal, track in tracks.items():
            made, codes = made_track(ordinal), [archive.code(name) for name in track.face_ids]
            assert [code.base for code in codes] == [face.code.base for face in made.faces]
            if ordinal in HELD or ordinal >= OLD_PICTURES:
                assert codes == [face.code for face in made.faces]
        assert removed == FACES_A_TRACK * (TRACKS + came - len(tracks)), "who keeps an index is told of all"
        return len(tracks)


def test_killed_at_ten_moments(tmp_path: Path) -> None:
    chance = random.Random(2)
    path, came = tmp_path / "a.db", 0
    with Archive.open(str(path), create=True) as archive:
        source = begin(archive)
        archive.add_tracks(source, [made_track(ordinal) for ordinal in range(TRACKS)])
        names = [track.id for track in archive.tracks()]
        archive.holds.add([names[k] for k in HELD], "me", NOW)
    ages = [NOW - (START + timedelta(minutes=k)) for k in (OLD_PICTURES, OLD)]
    had, killed = TRACKS, 0
    for _ in range(10):
        clearing = start(path, *ages)
        assert clearing.stdout is not None
        for _ in range(chance.randrange(1, 7)):
            clearing.stdout.readline()
        with Archive.open(str(path)) as archive:  # others write meanwhile, and what they wrote stays
            archive.add_track(source, made_track(TRACKS + came))
        came += 1
        time.sleep(chance.random() * 0.03)
        clearing.send_signal(signal.SIGKILL)
        clearing.communicate()
        killed += clearing.returncode == -signal.SIGKILL
        now = checked(path, came)
        assert now <= had + 1
        had = now
    assert killed >= 5, "most were under way"
    out, problems = start(path, *ages).communicate(timeout=60)
    assert out.endswith("finished\n"), problems
    assert checked(path, came) == TRACKS - OLD + len(HELD) + came
    with Archive.open(str(path)) as archive:
        shown = {
            int(track.id[-4:]): Layer.FULL in archive.faces(track.face_ids)[0].layers for track in archive.tracks()
        }
    assert [ordinal for ordinal, full in shown.items() if not full] == list(range(OLD, OLD_PICTURES))
