"""A writer that is killed at any moment leaves whole tracks alone, and the next one completes them."""

import random
import signal
import time

from inside import rows
from made_tracks import CODEC, FACES_A_TRACK, START, made_track
from writer_process import assert_finished, start

from storage import Archive
from streamproc.errors import ArchiveNotFound
from streamproc.types import SourceResult


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
    """Killed ten times over, each time at a random moment, and then let through."""
    chance = random.Random(1)
    tracks, most = 50, 0
    for _ in range(10):
        writer = start(url, "door", tracks)
        assert writer.stdout is not None
        reported = 0
        for _ in range(chance.randrange(tracks)):
            reported += writer.stdout.readline() == "track\n"
        time.sleep(chance.random() * 0.02)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        most = max(most, reported)
        try:
            assert_whole(url, at_least=most, at_most=tracks)
        except ArchiveNotFound:
            assert most == 0
    assert_finished(start(url, "door", tracks))
    assert_whole(url, tracks, tracks)
    with Archive.open(url) as archive:
        info = archive.info()
        assert (info.tracks, info.faces) == (tracks, tracks * FACES_A_TRACK)
        assert (info.bytes.base, info.bytes.enhancement) == (20 * info.faces, 200 * info.faces)
        entry = archive.begin_source("door", "/videos/door.mp4", "hash", START, CODEC)
        assert entry.complete
        assert entry.result == SourceResult("door", "/videos/door.mp4", tracks=tracks)
