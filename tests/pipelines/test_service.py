"""The service with fake cameras and models: who dies is back, nobody else notices, nothing is archived twice."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest

from pipelines.events import Event
from pipelines.messages import ArchiveState, CameraJob
from pipelines.metrics import serve
from pipelines.service import LiveEntries, Service
from pipelines.site import Site
from storage import Archive
from streamproc.config import ServiceSettings, Settings, SupervisorSettings
from streamproc.types import GapReason, GapRecord

FAKES = LiveEntries(
    camera="fake_live:camera",
    detect="fake_live:find",
    encode="fake_live:code",
    archive="fake_live:tight_archive",
)
SETTINGS = Settings(
    service=ServiceSettings(silent=1.5, check=None, identities=False),
    supervisor=SupervisorSettings(silence=8.0, stop=10.0),
)
MASK = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5))


def job(name: str, asked: str = "") -> CameraJob:
    return CameraJob(name, f"fake://{name}{asked}", f"fake://{name}", "tcp")


class Running:
    """A service in a thread, its log, and how it ended."""

    def __init__(
        self,
        archive: Path,
        jobs: Sequence[CameraJob],
        settings: Settings = SETTINGS,
        entries: LiveEntries = FAKES,
    ) -> None:
        self.archive, self.jobs, self.settings = archive, list(jobs), settings
        with Archive.open(str(archive), create=True):
            pass
        self.events: list[Event] = []
        self.failure: BaseException | None = None
        self.service = Service(
            str(archive), settings, jobs, self.events.append, lambda: Site(self.settings, self.jobs), entries
        )
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def log(self) -> list[str]:
        return [str(event) for event in self.events]

    def _run(self) -> None:
        try:
            self.service.run()
        except BaseException as error:
            self.failure = error

    def until(self, what: Callable[[], bool], seconds: float = 40.0) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, self.log
            assert self.thread.is_alive(), (self.failure, self.log)
            time.sleep(0.05)

    def stop(self) -> None:
        self.service.stop()
        self.thread.join(40)
        assert not self.thread.is_alive()

    def faces(self, camera: str) -> int:
        with Archive.open(str(self.archive)) as opened:
            return sum(one.faces for one in opened.info().cameras if one.name == camera)

    def gaps(self, camera: str) -> tuple[GapRecord, ...]:
        with Archive.open(str(self.archive)) as opened:
            return opened.gaps([camera])

    def reason(self, camera: str) -> GapReason | str | None:
        """Why it is blind, None where it is not."""
        state = self.service.cameras[camera].state
        return state.reason if state else "not begun"

    def process(self, name: str) -> int:
        child = self.service.cameras[name].child if name in self.service.cameras else self.service.stages[name].child
        assert child is not None
        assert child._process.pid is not None
        return child._process.pid


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def begin(*jobs: CameraJob) -> Running:
        running.append(Running(tmp_path / "site.db", jobs))
        return running[-1]

    yield begin
    for one in running:
        if one.thread.is_alive():
            one.stop()


def test_faces_of_all_cameras_are_archived_and_a_stop_loses_nothing(start: Callable[..., Running]) -> None:
    running = start(job("gate"), job("yard"))
    running.until(lambda: running.faces("gate") > 0 and running.faces("yard") > 0)
    processes = [running.process(name) for name in ("gate", "yard", "detect", "encode", "archive")]
    running.stop()
    assert running.failure is None
    assert not any(psutil.pid_exists(process) for process in processes)
    with Archive.open(str(running.archive)) as opened:
        tracks = opened.tracks()
    assert len({track.id for track in tracks}) == len(tracks)


def test_a_camera_that_dies_is_back_and_no_other_is_touched(start: Callable[..., Running]) -> None:
    running = start(job("gate"), job("yard"))
    running.until(lambda: running.faces("gate") > 0 and running.faces("yard") > 0)
    gate, yard = running.process("gate"), running.process("yard")
    os.kill(gate, signal.SIGKILL)
    had = running.faces("gate")
    running.until(lambda: running.faces("gate") > had)
    assert running.process("yard") == yard
    assert running.process("gate") != gate
    assert any("gate: silent: The process that watches it was killed by SIGKILL" in line for line in running.log)


@pytest.mark.parametrize("stage", ["detect", "encode", "archive"])
def test_a_stage_that_is_killed_is_back(stage: str, start: Callable[..., Running]) -> None:
    running = start(job("gate"), job("yard"))
    running.until(lambda: running.faces("gate") > 0)
    cameras = [running.process("gate"), running.process("yard")]
    os.kill(running.process(stage), signal.SIGKILL)
    had = running.faces("yard")
    running.until(lambda: running.faces("yard") > had + 1, 20)
    assert [running.process("gate"), running.process("yard")] == cameras
    running.stop()
    assert running.failure is None


def test_what_nobody_saw_is_in_the_ledger(start: Callable[..., Running]) -> None:
    running = start(job("gate"), job("yard", "?blind=2"))
    running.until(lambda: running.faces("gate") > 0 and running.reason("yard") is GapReason.BLACK)
    os.kill(running.process("gate"), signal.SIGKILL)
    running.until(lambda: running.service.cameras["gate"].restarts == 1 and running.reason("gate") is None)
    running.stop()
    (killed, stopped), (black, ended) = (running.gaps(name) for name in ("gate", "yard"))
    assert (killed.reason, stopped.reason) == (GapReason.SILENT, GapReason.STOPPED)
    assert killed.ended_at is not None
    assert timedelta() < killed.ended_at - killed.began_at < timedelta(seconds=60)
    assert (black.reason, ended.reason) == (GapReason.BLACK, GapReason.STOPPED)
    assert black.ended_at == ended.began_at
    assert stopped.ended_at is None
    again = start(job("gate"))
    again.until(lambda: again.reason("gate") is None)
    again.until(lambda: again.gaps("gate")[-1].ended_at is not None)
    assert len(again.gaps("gate")) == 2


def test_metrics_and_health(start: Callable[..., Running]) -> None:
    running = start(job("gate"))
    port = serve(running.service, "127.0.0.1", 0)
    running.until(lambda: running.faces("gate") > 0)
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = [line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#")]
    figures = {name: float(value) for name, value in lines}
    assert figures['streamproc_live{camera="gate"}'] == 1
    assert figures['streamproc_frames_total{camera="gate"}'] > 0
    assert figures['streamproc_faces_total{camera="gate"}'] > 0
    assert 0 <= figures['streamproc_lag_seconds{camera="gate"}'] < 10
    assert figures['streamproc_stage_restarts_total{stage="detect"}'] == 0
    assert 0 < figures["streamproc_detection_share"] <= 1
    with urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
        assert answer.read() == b"well\n"
    running.service.archive = ArchiveState(False, "No room is left.")
    with pytest.raises(HTTPError, match="503") as refused:
        urlopen(f"http://127.0.0.1:{port}/healthz")
    assert b"No room is left." in refused.value.read()


def test_a_full_disk_is_waited_for(start: Callable[..., Running]) -> None:
    running = start(job("gate"))
    running.until(lambda: running.faces("gate") > 0)
    full = running.archive.with_name("FULL")
    full.touch()
    running.until(lambda: not running.service.archive.well)
    assert running.service.troubles() == ["No room is left for the archive."]
    had, archived = running.faces("gate"), running.process("archive")
    time.sleep(5)
    full.unlink()
    running.until(lambda: running.service.archive.well and running.faces("gate") > had)
    assert running.process("archive") == archived
    assert "The archive can be written to again." in running.log


def test_a_camera_that_hangs_is_ended_from_outside(start: Callable[..., Running]) -> None:
    running = start(job("gate", "?hang=3"), job("yard"))
    running.until(lambda: running.service.cameras["gate"].restarts > 0)
    assert any("gave no sign of life" in line for line in running.log)
    assert running.service.cameras["yard"].restarts == 0


def test_only_cameras_that_changed_notice_a_change(start: Callable[..., Running]) -> None:
    running = start(job("gate"), job("yard"), job("door"))
    running.until(lambda: all(running.faces(name) > 0 for name in ("gate", "yard", "door")))
    gate, yard = running.process("gate"), running.process("yard")
    frames = running.service.cameras["gate"].beat.frames
    running.jobs[:] = [job("gate"), replace(job("yard"), masks=(MASK,)), job("roof")]
    running.service.ask_reload()
    running.until(lambda: running.faces("roof") > 0 and "door" not in running.service.cameras)
    assert running.process("gate") == gate
    assert running.process("yard") != yard
    assert running.service.cameras["gate"].beat.frames > frames
    assert running.service.cameras["gate"].restarts == 0


def test_a_stage_that_dies_again_and_again_ends_the_service(start: Callable[..., Running]) -> None:
    running = start(job("gate"))
    running.until(lambda: running.faces("gate") > 0)
    end = time.monotonic() + 60
    while running.thread.is_alive() and time.monotonic() < end:
        running.service.stages["encode"].child._process.kill()
        time.sleep(0.3)
    assert "ended 8 times" in str(running.failure)
