"""The service's camera process on a real RTSP server: it never gives up, and says what it sees."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.bench.cameras import CameraServer
from pipelines.camera import out_of_time
from pipelines.messages import CameraJob
from pipelines.service import LiveEntries, Service
from storage import Archive
from streamproc.config import ServiceSettings, Settings
from streamproc.types import GapReason, Transport

FAKES = LiveEntries(detect="fake_live:find", encode="fake_live:code")
SETTINGS = Settings(service=ServiceSettings(silent=2.0, frozen=4.0, retry=1.0, check=None, identities=False))


@pytest.fixture
def server(serve: Callable[..., CameraServer]) -> CameraServer:
    return serve({"live": "ball", "frozen": "bars"})


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


def job(server: CameraServer, name: str, path: str, transport: Transport = "tcp") -> CameraJob:
    return CameraJob(name, server.url(path), server.url(path), transport)


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
    server: CameraServer, watched: Callable[[Sequence[CameraJob]], tuple[Service, list[str]]]
) -> None:
    service, log = watched([job(server, "gate", "live")])
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
    server: CameraServer, watched: Callable[[Sequence[CameraJob]], tuple[Service, list[str]]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        uri = f"rtsp://127.0.0.1:{mute.getsockname()[1]}/live"
        jobs = [
            job(server, "gate", "live"),
            job(server, "still", "frozen"),
            job(server, "lost", "none"),
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


def test_garbage_lost_packets_and_another_size_are_survived(
    serve: Callable[..., CameraServer],
    moving_clip: Callable[[int, int], str],
    watched: Callable[[Sequence[CameraJob]], tuple[Service, list[str]]],
) -> None:
    large, small = moving_clip(480, 320), moving_clip(320, 240)
    server = serve({"gate": large, "yard": large})
    service, log = watched([job(server, "gate", "gate", "udp"), job(server, "yard", "yard")])
    gate, yard = service.cameras["gate"], service.cameras["yard"]
    until(lambda: reason(service, "gate") == "live" and reason(service, "yard") == "live", log)
    server.tell("gate", "loss 0.1")
    server.tell("yard", "garbage")
    until(lambda: reason(service, "yard") == "corrupt", log)
    until(lambda: gate.beat.corrupt > 0, log)
    server.tell("gate", f"show {small}")
    server.tell("yard", "well")
    frames = gate.beat.frames
    # Ten lost packets in a hundred make a camera corrupt, or not quite.
    until(lambda: {reason(service, "gate"), reason(service, "yard")} == {"live"}, log)
    until(lambda: gate.beat.frames > frames + 10, log)
    assert (gate.restarts, yard.restarts) == (0, 0)
    until(lambda: gate.faces > 0, log)
