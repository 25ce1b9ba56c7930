"""What the archive stage does with what it is told by the clock: forget checks, clear up, in small steps."""

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from pipelines.live_archive import Recorder
from pipelines.live_messages import ClearAsked, HiddenForgotten, SessionCoded, SessionEnded
from pipelines.messages import ArchiveState, Cleared, Session
from pipelines.site import CHECK_CAMERA
from storage import Archive, ClearedStep, Removed, Rules, Terms
from streamproc.errors import ArchiveError, ArchiveUnreachable
from streamproc.types import CodedFace, CodedTrack, FaceCode, FrameTime, SourceResult

START = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
CODEC = "c0dec0000000001"


def made_track(ordinal: int) -> CodedTrack:
    """A track of three faces."""
    at = START + timedelta(minutes=ordinal)
    code = FaceCode(CODEC, b"base %d" % ordinal, b"picture")
    points = ((1.0, 2.0),) * 5
    face = CodedFace(FrameTime(0, 0, Fraction(1, 6), at), (0, 0, 9, 9), points, 0.9, 0.5, code, zlib.crc32(code.base))
    return CodedTrack(ordinal, at, at, 3, (face,) * 3)


def asked(faces: timedelta | None = None, pictures: timedelta | None = None) -> ClearAsked:
    """That what is so old goes, 300 days later."""
    return ClearAsked(Rules(Terms(pictures, faces)), START + timedelta(days=300))


class Said:
    """What the archive stage says upwards."""

    def __init__(self) -> None:
        self.said: list[object] = []

        self.stopping = Event()

    def send(self, message: object) -> None:
        self.said.append(message)

    def beat(self, report: object) -> None:
        pass


def recorder(folder: Path, said: Said) -> tuple[Archive, Recorder]:
    archive = Archive.open(str(folder / "a.db"), create=True)
    control: Any = said
    return archive, Recorder(archive, control)


def test_a_session_that_was_forgotten_while_it_lasts_goes_on(tmp_path: Path) -> None:
    """Of a check that was too slow more may come after the next one's end."""
    archive, writer = recorder(tmp_path, Said())
    session = Session(CHECK_CAMERA, "known", START)
    for ordinal in range(2):
        assert writer.took(SessionCoded(session, CODEC, "default", made_track(ordinal)))
        assert writer.took(HiddenForgotten(CHECK_CAMERA, START + timedelta(days=1)))
        assert archive.tracks([CHECK_CAMERA]) == []
    assert writer.took(SessionEnded(session, SourceResult(CHECK_CAMERA, "known")))


def test_clearing_up_goes_a_step_at_a_time_and_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.retention.TRACKS_A_STEP", 1)
    said = Said()
    archive, writer = recorder(tmp_path, said)
    session = Session("gate", "rtsp://gate", START)
    for ordinal in range(3):
        writer.took(SessionCoded(session, CODEC, "default", made_track(ordinal)))
    said.said.clear()
    assert writer.took(asked(faces=timedelta(days=1)))
    for left in (2, 1):
        writer.clear_some()
        assert len(archive.tracks()) == left
    # What comes meanwhile is written; the session's source goes with its last track and is begun again.
    while not said.said:
        writer.clear_some()
    assert said.said == [
        Cleared(
            "Cleared up: 3 tracks of 9 faces and 9 pictures were over their time or too much; "
            "the archive uses their 0.0 MiB again.",
            True,
        )
    ]
    writer.took(SessionCoded(session, CODEC, "default", made_track(7)))
    assert len(archive.tracks()) == 1
    said.said.clear()
    writer.took(asked(faces=timedelta(days=400), pictures=timedelta(days=400)))
    for _ in range(4):
        writer.clear_some()
    assert said.said == [], "nothing was over its time, so nothing is said"


def test_clearing_up_that_fails_ends_without_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Said()
    archive, writer = recorder(tmp_path, said)

    def failing(*_: object) -> Iterator[ClearedStep]:
        yield ClearedStep("gate", START, Removed(tracks=1))
        raise ArchiveError("The disk failed.")

    monkeypatch.setattr(archive, "clear", failing)
    writer.took(asked(faces=timedelta(days=1)))
    for _ in range(3):
        writer.clear_some()
    assert said.said == [Cleared("Clearing up stopped: The disk failed.", False)]


def test_a_server_that_was_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Said()
    archive, writer = recorder(tmp_path, said)
    session = Session("gate", "rtsp://gate", START)
    add_track, away = archive.add_track, iter((True, True, False))

    def failing(source: str, track: CodedTrack) -> object:
        if next(away):
            raise ArchiveUnreachable("The connection to the archive was lost.")
        return add_track(source, track)

    monkeypatch.setattr(archive, "add_track", failing)
    monkeypatch.setattr("pipelines.live_archive.RETRY", 0.01)
    assert writer.took(SessionCoded(session, CODEC, "default", made_track(0)))
    states = [news for news in said.said if isinstance(news, ArchiveState)]
    assert states == [ArchiveState(False, "The connection to the archive was lost."), ArchiveState(True, "")]
    assert len(archive.tracks()) == 1
