"""The service on some live cameras for a while, watched from the inside: what it took, and how far behind it was.

Runs in a process of its own (`measured_apart`), which is the service's supervisor: what it and its children take is
what the service takes.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil

from pipelines.events import plain
from pipelines.messages import CameraJob
from pipelines.service import LiveEntries, Service, Watched
from streamproc.config import Settings
from streamproc.errors import PipelineError

SAMPLE_SECONDS = 1.0
START_UP = 60.0
"""Seconds that the service gets to load everything, and 5 more for each camera."""
SETTLED, UNSETTLED = 3.0, 20.0
"""Seconds for which all has to be well before the measurement begins; so many where the service never catches up with
what piled up while it started."""
CAUGHT_UP = 1.0
"""Seconds behind."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The service at a moment: the lag of the camera that is furthest behind (seconds), resident memory of all
    processes (MiB, what they share counted in each), processor seconds since the measurement began."""

    at: datetime
    lag: float
    rss_mib: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Watch:
    """A while with the service, UTC, after its start-up: frames that were due for detection, those dropped of them,
    ends of processes, and what it logged."""

    begun: datetime
    ended: datetime
    samples: tuple[Sample, ...]
    frames: int
    dropped: int
    restarts: int
    log: tuple[str, ...]


def watch(
    archive_url: str,
    settings: Settings,
    jobs: Sequence[CameraJob],
    seconds: float,
    entries: LiveEntries | None = None,
) -> Watch:
    """What was seen in so many seconds, after which the service is stopped, and archives what is under way.

    Raises PipelineError when the cameras do not all come to life.
    """
    log: list[str] = []
    service = Service(archive_url, settings, jobs, lambda event: log.append(plain(event)), None, entries)
    thread = threading.Thread(target=service.run, daemon=True)
    thread.start()
    try:
        _settle(service, thread, START_UP + 5 * len(jobs), log)
        begun, before = datetime.now(UTC), _counts(service)
        processors = _Processors()
        samples = []
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(SAMPLE_SECONDS, left))
            samples.append(processors.sample(service))
            _require(thread, log)
        ended, after = datetime.now(UTC), _counts(service)
    finally:
        service.stop()
        thread.join()
    frames, dropped, restarts = (now - then for now, then in zip(after, before, strict=True))
    return Watch(begun, ended, tuple(samples), frames, dropped, restarts, tuple(log))


def lag(camera: Watched, now: datetime) -> float:
    """Seconds that a camera is behind: the age of its newest frame, or of the oldest one that waits to be searched,
    whichever is more."""
    newest = camera.beat.newest
    return max((now - newest).total_seconds() if newest else 0.0, camera.beat.waiting)


def _settle(service: Service, thread: threading.Thread, seconds: float, log: Sequence[str]) -> None:
    """Nothing, when all is up, all cameras are live, and nothing is behind, or stays so."""
    end = time.monotonic() + seconds
    up_since = well_since = time.monotonic()
    while time.monotonic() - well_since < SETTLED and time.monotonic() - up_since < UNSETTLED:
        now = time.monotonic()
        cameras = list(service.cameras.values())
        if service.troubles() or not all(camera.live for camera in cameras):
            up_since = well_since = now
        if any(lag(camera, datetime.now(UTC)) > CAUGHT_UP for camera in cameras):
            well_since = now
        if now > end:
            raise PipelineError(f"The cameras did not all come to life in {seconds:.0f} s. Last: {_last(log)}")
        _require(thread, log)
        time.sleep(0.1)


def _require(thread: threading.Thread, log: Sequence[str]) -> None:
    if not thread.is_alive():
        raise PipelineError(f"The service ended. Its last words: {_last(log)}")


def _last(log: Sequence[str]) -> str:
    return log[-1] if log else "nothing."


def _counts(service: Service) -> tuple[int, int, int]:
    """(frames, dropped, restarts) of all together."""
    cameras, stages = service.cameras.values(), service.stages.values()
    frames, dropped = sum(one.beat.frames for one in cameras), sum(one.beat.dropped for one in cameras)
    return frames, dropped, sum(one.restarts for one in cameras) + sum(stage.restarts for stage in stages)


class _Processors:
    """What this process and its children have used since this object was made."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._before = {process.pid: _used(process) for process in self._all()}
        self._used: dict[int, float] = {}

    def _all(self) -> list[psutil.Process]:
        return [self._own, *self._own.children(recursive=True)]

    def sample(self, service: Service) -> Sample:
        """The service now."""
        now, memory = datetime.now(UTC), 0
        for process in self._all():
            try:
                memory += process.memory_info().rss
                self._used[process.pid] = _used(process) - self._before.get(process.pid, 0.0)
            except psutil.Error:
                continue  # it ended just now
        behind = max((lag(camera, now) for camera in service.cameras.values()), default=0.0)
        return Sample(now, behind, memory / 2**20, sum(self._used.values()))


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
