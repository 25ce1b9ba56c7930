"""A site of live cameras and the service that watches it, in this process, for those who break things on purpose."""

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.bench.cameras import CameraServer
from pipelines.events import Event, plain
from pipelines.messages import CameraJob
from pipelines.service import Service
from storage import Archive
from streamproc.config import Settings
from streamproc.errors import PipelineError
from streamproc.types import GapReason

LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Look:
    """The site at a moment (monotonic seconds): each camera's frame counter, in the order of the cameras."""

    at: float
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Processes:
    """Process ids by name of camera or stage, and each camera's restarts."""

    ids: dict[str, int | None]
    restarts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """What there was when `Site.mark` was called: processes, and by camera frames and damaged ones."""

    processes: Processes
    frames: dict[str, int]
    damaged: dict[str, int]


class Site:
    """Cameras, each with a server of its own, and the running service."""

    def __init__(
        self, archive: Path, settings: Settings, servers: dict[str, CameraServer], jobs: Sequence[CameraJob]
    ) -> None:
        """Starts the service into a fresh archive."""
        self.servers, self.archive = servers, archive
        with Archive.open(str(archive), create=True):
            pass
        self.log: list[str] = []
        self.failure: BaseException | None = None
        self.service = Service(str(archive), settings, jobs, self._note)
        self._looks: list[Look] = []
        self._mark: Mark | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def _note(self, event: Event) -> None:
        self.log.append(plain(event))

    def _run(self) -> None:
        try:
            self.service.run()
        except Exception as error:  # what it died of is what the run is about
            self.failure = error

    def _watch(self) -> None:
        while not self._ended.wait(2 * LOOK_SECONDS):
            self._looks.append(Look(time.monotonic(), tuple(self.frames(camera) for camera in self.servers)))

    def stop(self) -> None:
        """Nothing; what was under way is archived."""
        self.service.stop()
        self._thread.join()
        self._ended.set()

    def until(self, what: Callable[[], bool], seconds: float) -> float | None:
        """How long it took until it was so; None when it was not within so many seconds.

        Raises PipelineError when the service ended.
        """
        began = time.monotonic()
        while not what():
            if not self._thread.is_alive():
                raise PipelineError(f"The service ended: {self.failure}")
            if time.monotonic() - began > seconds:
                return None
            time.sleep(LOOK_SECONDS)
        return time.monotonic() - began

    def reason(self, camera: str) -> GapReason | None:
        """Why a camera is blind; None for one that sees, or was never reached."""
        state = self.service.cameras[camera].state
        return state.reason if state else None

    def live(self, camera: str) -> bool:
        """Whether a camera gives usable video."""
        return self.service.cameras[camera].live

    def frames(self, camera: str) -> int:
        """Frames of its process so far."""
        return self.service.cameras[camera].beat.frames

    def mark(self) -> Mark:
        """What there is now; what follows is compared with it."""
        beats = {name: camera.beat for name, camera in self.service.cameras.items()}
        frames = {name: beat.frames for name, beat in beats.items()}
        self._mark = Mark(self.processes(), frames, {name: beat.corrupt for name, beat in beats.items()})
        return self._mark

    def recording(self, camera: str) -> bool:
        """Whether a camera is live and has given frames since the mark."""
        return self._mark is not None and self.live(camera) and self.frames(camera) > self._mark.frames[camera]

    def suffering(self, camera: str) -> bool:
        """Whether frames of a camera were damaged since the mark."""
        beat = self.service.cameras[camera].beat
        return self._mark is not None and beat.corrupt > self._mark.damaged[camera]

    def replaced(self, name: str) -> bool:
        """Whether another process than at the mark works as this camera or stage."""
        return self._mark is not None and self.processes().ids[name] not in (self._mark.processes.ids[name], None)

    def up(self, stage: str) -> bool:
        """Whether a stage is at work."""
        stages = self.service.stages
        return stage in stages and stages[stage].child.spoke

    def all_well(self) -> bool:
        """Whether everything is at work and every camera seen."""
        return not self.service.troubles() and all(self.live(camera) for camera in self.servers)

    def processes(self) -> Processes:
        """What runs now."""
        cameras = {name: camera.child.pid if camera.child else None for name, camera in self.service.cameras.items()}
        stages: dict[str, int | None] = {name: stage.child.pid for name, stage in self.service.stages.items()}
        return Processes(cameras | stages, {name: one.restarts for name, one in self.service.cameras.items()})

    def kill(self, name: str) -> None:
        """Nothing; the process of a camera or stage was sent SIGKILL."""
        process = self.processes().ids[name]
        if process is None:
            raise PipelineError(f"There is no process of '{name}' to kill.")
        os.kill(process, signal.SIGKILL)

    def longest_stall(self, camera: str, since: float, until: float) -> float:
        """The longest time for which a camera's frame counter stood still between two moments (monotonic seconds)."""
        place = list(self.servers).index(camera)
        stall, moved, last = 0.0, since, -1
        for look in self._looks:
            if since <= look.at <= until:
                if look.frames[place] != last:
                    last, moved = look.frames[place], look.at
                stall = max(stall, look.at - moved)
        return stall


def fill(path: Path, archive: Path) -> None:
    """Nothing; the disk on which `path` and the archive lie has no room left."""
    with closing(sqlite3.connect(archive)) as connection:
        # A write-ahead log that has grown before has room in it: it would go on for a minute.
        connection.execute("pragma wal_checkpoint(truncate)")
    # Unbuffered: what found no room must not be tried again as the file is closed.
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
