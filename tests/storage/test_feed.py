"""Who keeps an index beside the archive is told of every face once, and of all that went; or told to begin anew."""

import random
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from made_tracks import CODEC, FACES_A_TRACK, START, begin, made_track

from storage import Archive, Rules, Terms, retention
from storage.feed import FeedPosition
from streamproc.errors import FeedLost, UnknownRecord

EVERYTHING = Rules(Terms(faces=timedelta()))
"""What is over goes."""


def followed(archive: Archive, after: FeedPosition, known: dict[int, bytes], limit: int = 7) -> FeedPosition:
    """Where the feed ends; `known` are the faces' payloads by key, as somebody has them who heeds it."""
    while True:
        changes = archive.face_changes(CODEC, after, limit)
        assert not set(changes.keys) & set(known)
        known |= dict(zip(changes.keys.tolist(), changes.payloads, strict=True))
        for key in changes.removed.tolist():
            known.pop(key, None)
        after = FeedPosition.parse(str(changes.position))
        if changes.end:
            return after


def test_who_follows_has_what_the_archive_has(archive: Archive) -> None:
    chance, known = random.Random(5), dict[int, bytes]()
    source, position = begin(archive), archive.beginning()
    for ordinal in range(60):
        archive.add_track(source, made_track(ordinal if chance.random() < 0.8 else ordinal // 2))
        if chance.random() < 0.2:
            for _ in archive.clear(EVERYTHING, START + timedelta(minutes=ordinal // 3)):
                pass
        if chance.random() < 0.5:
            position = followed(archive, position, known)
    followed(archive, position, known)
    assert sorted(known.values()) == sorted(archive.base_layers(CODEC).payloads)


def test_a_face_is_told_with_its_track_camera_and_time(archive: Archive) -> None:
    archive.add_track(begin(archive), made_track(3))
    changes = archive.face_changes(CODEC, archive.beginning(), 100)
    assert (changes.end, changes.removed.size) == (True, 0)
    assert np.unique(changes.tracks).size == 1
    assert changes.cameras.tolist() == list(archive.camera_keys(["door"]) or ()) * FACES_A_TRACK
    assert changes.times.tolist() == [
        int(face.time.captured_at.timestamp()) * 1_000_000 for face in made_track(3).faces
    ]
    layers = archive.base_layers_of_tracks(CODEC, [*changes.tracks[:1].tolist(), 999])
    assert layers.payloads == changes.payloads
    assert layers == archive.base_layers(CODEC)
    assert archive.base_layers_of_tracks(CODEC, [1], until=START).payloads == ()


def test_other_codecs_are_passed_over(archive: Archive) -> None:
    archive.add_track(begin(archive, codec_id="other"), made_track(0, codec_id="other"))
    changes = archive.face_changes(CODEC, archive.beginning(), 100)
    assert (changes.keys.size, changes.position.face_key) == (0, FACES_A_TRACK)
    archive.add_track(begin(archive), made_track(1))
    assert archive.face_changes(CODEC, changes.position, 100).keys.size == FACES_A_TRACK


def test_a_position_that_is_of_no_use_is_refused(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add_track(begin(archive), made_track(0))
    start = archive.beginning()
    with Archive.open(str(tmp_path / "b.db"), create=True) as other, pytest.raises(FeedLost, match="another one's"):
        other.face_changes(CODEC, start, 100)
    with pytest.raises(FeedLost, match="ahead"):
        archive.face_changes(CODEC, FeedPosition(start.archive_id, 3, 1), 100)
    with pytest.raises(FeedLost, match="how far it got"):
        FeedPosition.parse("nonsense")
    monkeypatch.setattr(retention, "REMOVED_KEPT", 1)
    list(archive.clear(EVERYTHING, START + timedelta(minutes=9)))
    with pytest.raises(FeedLost, match="too far behind"):
        archive.face_changes(CODEC, start, 100)


def test_hidden_cameras_are_told_of_and_can_be_told_apart(archive: Archive) -> None:
    assert archive.camera_keys() is None
    begin(archive)
    archive.resume_session("the check", "known", START, CODEC, hidden=True)
    assert archive.camera_keys() == archive.camera_keys(["door"])
    assert archive.camera_keys() != archive.camera_keys(["the check"])
    with pytest.raises(UnknownRecord, match="its cameras are door"):
        archive.camera_keys(["nowhere"])
