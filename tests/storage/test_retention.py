"""What is cleared away and what is not, that it can be killed, that its room is used again; and hidden cameras."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from inside import rows
from made_tracks import CODEC, FACES_A_TRACK, START, begin, made_track

from storage import Archive, Removed, Rules, Terms, retention
from streamproc.errors import ArchiveError, UnknownRecord
from streamproc.types import GapReason, Layer, SourceResult

HIDDEN = "the check"


def filled(archive: Archive, tracks: int, camera: str = "door") -> list[str]:
    """The face ids of so many tracks, a minute apart from START on."""
    source = begin(archive, camera)
    for ordinal in range(tracks):
        archive.add_track(source, made_track(ordinal, camera))
    return [face for track in archive.tracks([camera]) for face in track.face_ids]


NOW = START + timedelta(days=30)


def clear(archive: Archive, pictures: datetime | None, faces: datetime | None, **options: Any) -> Iterator[Removed]:
    """What each step removed, by rules under which what was before those times is over its time."""
    terms = Terms(None if pictures is None else NOW - pictures, None if faces is None else NOW - faces)
    steps = archive.clear(Rules(terms), NOW, **options)
    return (step.removed for step in steps if step is not None)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def test_pictures_go_and_search_stays(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "TRACKS_A_STEP", 2)
    faces = filled(archive, 10)
    filled(archive, 10, "yard")
    before = archive.base_layers(CODEC)
    steps = list(clear(archive, START + minutes(5), None))
    assert sum(steps, Removed()) == Removed(pictures=2 * 15, bytes=2 * 15 * 200)
    assert max(step.pictures for step in steps) == 6
    assert archive.base_layers(CODEC) == before
    assert [Layer.FULL in record.layers for record in archive.faces(faces)] == [False] * 15 + [True] * 15
    assert archive.code(faces[0]).enhancement is None
    assert sum(clear(archive, START + minutes(5), None), Removed()) == Removed()


def test_tracks_go_with_all_that_is_theirs(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "TRACKS_A_STEP", 2)
    filled(archive, 10)
    # Track 4 began 4 minutes after START and ended 20 s later: it is not over yet.
    steps = list(clear(archive, None, START + minutes(4) + timedelta(seconds=20)))
    assert sum(steps, Removed()) == Removed(pictures=12, tracks=4, faces=12, bytes=12 * 220)
    assert max(step.tracks for step in steps) == 2
    assert rows(archive) == [1, 6, 18, 18, 18]
    assert archive.tracks()[0].started_at == START + minutes(4)
    assert len(archive.base_layers(CODEC).face_ids) == 18
    assert list(clear(archive, None, START + minutes(4) + timedelta(seconds=20))) == []


def test_nothing_is_asked_for(archive: Archive) -> None:
    filled(archive, 3)
    assert list(clear(archive, None, None)) == []
    assert rows(archive) == [1, 3, 9, 9, 9]


def test_a_clearance_that_was_killed_is_gone_on_with(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "TRACKS_A_STEP", 1)
    filled(archive, 6)
    steps = clear(archive, START + minutes(9), START + minutes(3))
    first = next(steps) + next(steps)
    del steps
    assert first.tracks == 2
    rest = sum(clear(archive, START + minutes(9), START + minutes(3)), Removed())
    assert (rest.tracks, rest.pictures) == (1, 3 + 9)
    assert rows(archive) == [1, 3, 9, 0, 0]


def test_others_write_between_two_steps(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "TRACKS_A_STEP", 1)
    filled(archive, 3)
    source = begin(archive)
    for k, _ in enumerate(clear(archive, None, START + minutes(30))):
        archive.add_track(source, made_track(100 + k))
    assert len(archive.tracks()) == 3


def test_sessions_that_are_empty_go_and_files_are_remembered(archive: Archive) -> None:
    filled(archive, 1)
    archive.finish_source(begin(archive), SourceResult("door", "/videos/door.mp4", tracks=1))
    session = archive.resume_session("gate", "rtsp://gate", START, CODEC)
    archive.add_track(session.id, made_track(0, "live"))
    list(clear(archive, None, START + minutes(30)))
    assert rows(archive) == [1, 0, 0, 0, 0]
    assert archive.completed_source("door", "hash", CODEC) is not None
    # The session goes on: its name is what it was.
    assert archive.resume_session("gate", "rtsp://gate", START, CODEC).id == session.id


def hidden(archive: Archive, seconds: int = 0) -> None:
    at = START + timedelta(seconds=seconds)
    archive.register_codec(CODEC, "default")
    session = archive.resume_session(HIDDEN, "known", at, CODEC, hidden=True)
    archive.add_track(session.id, made_track(seconds, HIDDEN))
    archive.finish_session(HIDDEN, "known", at, SourceResult(HIDDEN, "known", tracks=1))


def test_a_hidden_camera_is_spoken_of_only_by_name(archive: Archive) -> None:
    filled(archive, 2)
    before = (archive.info(), archive.tracks(), archive.base_layers(CODEC), archive.gaps())
    hidden(archive)
    archive.ledger.watched(HIDDEN, START)
    archive.ledger.begin_gap(HIDDEN, START, GapReason.SILENT, "It said nothing.")
    info = archive.info(START + minutes(60))
    assert (info.faces, info.tracks, info.identities, info.cameras, info.gaps) == (
        before[0].faces,
        before[0].tracks,
        before[0].identities,
        before[0].cameras,
        (),
    )
    assert (info.bytes.base, info.bytes.enhancement) == (before[0].bytes.base, before[0].bytes.enhancement)
    assert (archive.tracks(), archive.base_layers(CODEC), archive.gaps()) == before[1:]
    assert archive.base_layers("another codec").other_codec == 2 * FACES_A_TRACK
    assert len(archive.tracks([HIDDEN])) == 1
    assert len(archive.base_layers(CODEC, [HIDDEN]).face_ids) == FACES_A_TRACK
    assert len(archive.gaps([HIDDEN])) == 1
    with pytest.raises(UnknownRecord, match="its cameras are door\\."):
        archive.tracks(["none"])


def test_only_the_newest_of_a_hidden_camera_is_kept(archive: Archive) -> None:
    filled(archive, 2)
    for seconds in (0, 1, 2):
        hidden(archive, seconds)
    removed = archive.forget_hidden(HIDDEN, START + timedelta(seconds=2))
    assert removed == Removed(pictures=6, tracks=2, faces=6, bytes=6 * 220)
    assert rows(archive) == [2, 3, 9, 9, 9]
    assert archive.forget_hidden("door", START + minutes(60)) == Removed()
    assert archive.forget_hidden("nobody", START + minutes(60)) == Removed()
    assert rows(archive) == [2, 3, 9, 9, 9]


def test_nobody_takes_the_name_of_a_hidden_camera(archive: Archive) -> None:
    hidden(archive)
    with pytest.raises(ArchiveError, match="give yours another name"):
        begin(archive, HIDDEN)
