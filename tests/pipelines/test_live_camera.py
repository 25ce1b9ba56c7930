"""The service's camera process on a real RTSP server: it never gives up, and says what it sees."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.camera import out_of_time
from pipelines.messages import CameraJob
from pipelines.service import LiveEntries, Service
from storage import Archive
from streamproc.config import ServiceSettings, Settings
from streamproc.types import GapReason

SERVER = Path(__file__).parents[1] / "media" / "live_server.py"
SYSTEM_PYTHON = shutil.which("python3", path=os.defpath)
NEEDS = "from gi import require_version as need; need('Gst', '1.0'); need('GstRtspServer', '1.0')"
FAKES = LiveEntries(detect="fake_live:find", encode="fake_live:code")
SETTINGS = Settings(service=ServiceSettings(silent=2.0, frozen=4.0, retry=1.0, check=None))


class Server:
    """An RTSP server that can be killed and comes back at the same port."""

    def __init__(self) -> None:
        if SYSTEM_PYTHON is None or subprocess.run([SYSTEM_PYTHON, "-c", NEEDS], capture_output=True).returncode:
            pytest.skip("GStreamer's RTSP server and its Python bindings are not installed")
        self.port = "0"
        self.start()

    def start(self) -> None:
        command = [SYSTEM_PYTHON or "", str(SERVER), self.port]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={})
        assert self._process.stdout is not None
        self.port = self._process.stdout.readline().strip()
        if not self.port:
            pytest.skip("GStreamer's RTSP server does not start here")

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def job(self, name: str, path: str) -> CameraJob:
        uri = f"rtsp://127.0.0.1:{self.port}/{path}"
        return CameraJob(name, uri, uri, "tcp")


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.kill()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Callable[[Sequence[CameraJob]], tuple[Service, list[str]]]]:
    running: list[tuple[Service, threading.Thread]] = []

    def watch(jobs: Sequence[CameraJob]) -> tuple[Service, list[str]]:
        archive, log = tmp_path / "site.db", list[str]()
        with Archive.open(str(archive), create=True):
            pass
        service = Service(str(archive), SETTINGS, jobs, lambda event: log.append(str(event)), None, FAKES)
        thread = threading.Thread(target=service.run, daemon=True)
        thread.start()
        running.append((service, thread))
        return service, log

    yield watch
    for service, thread in running:
        service.stop()
        thread.join(40)
        assert not thread.is_alive()


def until(what: Callable[[], bool], log: list[str], seconds: float = 40.0) -> None:
    """Nothing, when it is so."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, log
        time.sleep(0.05)


def reason(service: Service, camera: str) -> str | None:
    state = service.cameras[camera].state
    return (state.reason.value if state.reason else "live") if state else None


def test_a_camera_that_goes_and_comes_back(
    server: Server, watched: Callable[[Sequence[CameraJob]], tuple[Service, list[str]]]
) -> None:
    service, log = watched([server.job("gate", "live")])
    until(lambda: reason(service, "gate") == "live", log)
    until(lambda: service.cameras["gate"].faces > 0, log)
    server.kill()
    until(lambda: reason(service, "gate") in ("silent", "unreachable"), log)
    until(lambda: reason(service, "gate") == "unreachable", log)
    server.start()
    until(lambda: reason(service, "gate") == "live", log)
    had = service.cameras["gate"].faces
    until(lambda: service.cameras["gate"].faces > had, log)
    assert service.cameras["gate"].restarts == 0


@pytest.mark.parametrize(
    ("seconds", "reason"), [(0.4, None), (-4.0, None), (5.5, GapReason.BEHIND), (-6.0, GapReason.CLOCK_JUMP)]
)
def test_a_stream_of_another_time_is_begun_anew(seconds: float, reason: GapReason | None) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    trouble = out_of_time(now - timedelta(seconds=seconds), now)
    assert (trouble.reason if trouble else None) is reason
    if trouble:
        assert trouble.since == min(now, now - timedelta(seconds=seconds))


def test_a_frozen_picture_a_silent_server_and_a_wrong_path_are_told_apart(
    server: Server, watched: Callable[[Sequence[CameraJob]], tuple[Service, list[str]]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        uri = f"rtsp://127.0.0.1:{mute.getsockname()[1]}/live"
        jobs = [
            server.job("gate", "live"),
            server.job("still", "frozen"),
            server.job("lost", "none"),
            CameraJob("mute", uri, uri, "tcp"),
        ]
        service, log = watched(jobs)
        until(lambda: reason(service, "still") == "frozen", log)
        until(lambda: reason(service, "mute") in ("silent", "unreachable"), log)
        until(lambda: reason(service, "lost") == "unreachable", log)
        assert reason(service, "gate") == "live"
        assert "404" in next(line for line in log if line.startswith("lost:"))
        faces = service.cameras["gate"].faces
        until(lambda: service.cameras["gate"].faces > faces, log)
