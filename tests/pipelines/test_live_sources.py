"""The service on cameras of other kinds, and what it says of their clocks."""

import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from pipelines.live_archive import Recorder
from pipelines.live_messages import SessionCoded, SessionEnded
from pipelines.messages import CameraJob, Session
from pipelines.service import LiveEntries, Service
from storage import Archive
from streamproc.config import CaptureSettings, ServiceSettings, Settings
from streamproc.types import Clock, CodedFace, CodedTrack, FaceCode, FaceRecord, FrameTime, SourceResult

SERVER = Path(__file__).parents[1] / "media" / "http_camera.py"
FAKES = LiveEntries(detect="fake_live:find", encode="fake_live:code")
SETTINGS = Settings(
    service=ServiceSettings(silent=2.0, frozen=10.0, retry=1.0, identities=False),
    capture=CaptureSettings(hardware="abacus"),
)


@pytest.fixture
def address() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.kill()
    process.communicate()


def until(what: Callable[[], bool], log: list[str]) -> None:
    """Nothing, when it is so."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < 40, log
        time.sleep(0.05)


def archived(path: Path) -> list[FaceRecord]:
    with Archive.open(str(path)) as archive:
        return archive.faces([face for track in archive.tracks() for face in track.face_ids])


def test_mjpeg_over_http_that_changes_its_size(address: str, tmp_path: Path) -> None:
    path, log = tmp_path / "site.db", list[str]()
    with Archive.open(str(path), create=True):
        pass
    jobs = [
        CameraJob("gate", f"http://viewer:s3cret@{address}/turns", f"http://{address}/turns", "tcp"),
        CameraJob("yard", f"http://viewer:s3cret@{address}/dies", f"http://{address}/dies", "tcp"),
    ]
    service = Service(str(path), SETTINGS, jobs, lambda event: log.append(str(event)), None, FAKES)
    thread = threading.Thread(target=service.run, daemon=True)
    thread.start()
    try:
        until(lambda: log.count("gate: the picture is now 480x270, was 640x360") >= 2, log)
        until(lambda: service.cameras["gate"].faces > 0, log)
        until(lambda: any("silent" in line for line in log if line.startswith("yard:")), log)
    finally:
        service.stop()
        thread.join(40)
    assert not thread.is_alive()
    assert "gate: the picture is now 640x360, was 480x270" in log
    assert not any(line.startswith("gate: silent") for line in log), "the stream goes on"
    told = [line for line in log if "hardware" in line and line.startswith("yard:")]
    assert len(told) == 1, "once a process, though it connects again and again"
    assert "abacus" in told[0]
    assert not any("s3cret" in line for line in log)
    assert b"s3cret" not in path.read_bytes()
    assert {face.clock for face in archived(path) if face.camera_id == "gate"} == {Clock.ARRIVAL}


class Silent:
    """A line to the supervisor that nobody listens on."""

    def send(self, message: object) -> None:
        """Nothing."""


def test_the_archive_hears_of_a_change_of_clock(tmp_path: Path) -> None:
    path, began = tmp_path / "site.db", datetime(2026, 3, 1, 12, tzinfo=UTC)
    with Archive.open(str(path), create=True) as archive:
        recorder = Recorder(archive, Silent())  # type: ignore[arg-type]
        for ordinal, clock in enumerate((Clock.ARRIVAL, Clock.ARRIVAL, Clock.SENDER)):
            session = Session("gate", "rtsp://host/live", began, clock)
            assert recorder.took(SessionCoded(session, "fake", "fake", _track(ordinal, began)))
        assert recorder.took(SessionEnded(session, SourceResult("gate", "rtsp://host/live")))
        assert recorder._sources == {}
    faces = archived(path)
    assert len({face.track_id for face in faces}) == 3
    assert {face.clock for face in faces} == {Clock.SENDER}


def _track(ordinal: int, began: datetime) -> CodedTrack:
    base = b"sixteen bytes .."
    time_ = FrameTime(0, ordinal, Fraction(1), began)
    code = FaceCode("fake", base)
    face = CodedFace(time_, (0, 0, 1, 1), ((0.0, 0.0),) * 5, 0.9, 0.5, code, zlib.crc32(base))
    return CodedTrack(ordinal, began, began, 3, (face,))
