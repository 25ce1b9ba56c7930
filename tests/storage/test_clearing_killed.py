"""Clearing up that is killed at any moment takes nothing that is not over its time, and the next one completes it."""

import random
import time
from datetime import timedelta

from inside import rows
from made_processes import clear
from made_tracks import FACES_A_TRACK, START, begin, made_track
from started import Started

from storage import Archive, Rules, Terms
from streamproc.types import Layer

TRACKS, OLD, OLD_PICTURES, HELD = 160, 80, 130, (3, 47)
"""So many tracks; so many are over their time, so many their pictures'; these are held."""
NOW = START + timedelta(days=30)
RULES = Rules(Terms(NOW - (START + timedelta(minutes=OLD_PICTURES)), NOW - (START + timedelta(minutes=OLD))))


def checked(archive: Archive, came: int) -> int:
    """How many tracks are there; whatever is not over its time is whole."""
    tracks, pictures, blobs, removed = rows(
        archive, "tracks", "enhancement_layers", "enhancement_blobs", "removed_faces"
    )
    assert pictures == blobs
    assert removed == FACES_A_TRACK * (TRACKS + came - tracks), "who keeps an index is told of all"
    there = {int(track.id[-4:]): track for track in archive.tracks()}
    assert {*HELD, *range(OLD, TRACKS + came)} <= set(there)
    for ordinal in {*HELD, *range(OLD, TRACKS + came, 7)}:
        codes = [archive.code(name) for name in there[ordinal].face_ids]
        made = [face.code for face in made_track(ordinal).faces]
        assert [code.base for code in codes] == [code.base for code in made]
        assert codes == made or (OLD <= ordinal < OLD_PICTURES and ordinal not in HELD)
    return tracks


def test_killed_at_ten_moments(url: str) -> None:
    chance, came, under_way = random.Random(2), 0, 0
    with Archive.open(url, create=True) as archive:
        source = begin(archive)
        archive.add_tracks(source, [made_track(ordinal) for ordinal in range(TRACKS)])
        names = [track.id for track in archive.tracks()]
        archive.holds.add([names[k] for k in HELD], "me", NOW)
        had = TRACKS
        for _ in range(10):
            clearing = Started(clear, url, RULES, NOW)
            for _ in range(chance.randrange(1, 7)):
                clearing.hear()
            archive.add_track(source, made_track(TRACKS + came))  # others write meanwhile
            came += 1
            time.sleep(chance.random() * 0.02)
            under_way += clearing.running
            clearing.kill()
            left = checked(archive, came)
            assert left <= had + 1
            had = left
        assert under_way >= 5
        Started(clear, url, RULES, NOW).finish()
        assert checked(archive, came) == TRACKS - OLD + len(HELD) + came
        bare = [one for one in archive.tracks() if Layer.FULL not in archive.faces(one.face_ids)[0].layers]
        assert [int(track.id[-4:]) for track in bare] == list(range(OLD, OLD_PICTURES))
