"""The service: watches live cameras for months. One process a camera, three stages behind them, none of which may die
unnoticed: each is started anew, and what nobody could see meanwhile goes into the ledger of gaps.
"""

import queue
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeAlias

from pipelines.children import Child
from pipelines.links import Post
from pipelines.messages import (
    ArchiveState,
    CameraBeat,
    CameraJob,
    CameraState,
    DetectBeat,
    GapNews,
    ResumedNews,
    TrackArchived,
    WatchedNews,
)
from streamproc.config import Settings
from streamproc.errors import ConfigError, PipelineError
from streamproc.media.share import Overload
from streamproc.types import GapReason

LISTEN_SECONDS = 0.25
WATCHED_SECONDS = 10.0
"""How often the archive is told until when a camera's video was used."""
START_UP = 30.0
"""Seconds that a process may be silent while it imports and loads its models."""
CRASHES, CRASH_SECONDS = 8, 120.0
"""So many ends of one stage in so many seconds, and the service gives up: what starts it may know better."""
STAGES = ("archive", "encode", "detect")
"""In the order in which they are started; they are ended the other way round, so that what is under way arrives."""


@dataclass(frozen=True, slots=True)
class LiveEntries:
    """What each process runs, "module:function"."""

    camera: str = "pipelines.camera:run"
    detect: str = "pipelines.live_stages:run_detect"
    encode: str = "pipelines.live_stages:run_encode"
    archive: str = "pipelines.live_stages:run_archive"


@dataclass(slots=True)
class Watched:
    """A camera and the process that watches it."""

    job: CameraJob
    child: Child | None = None
    state: CameraState | None = None
    beat: CameraBeat = field(default_factory=lambda: CameraBeat(0, 0, 0, None))
    restarts: int = 0
    tracks: int = 0
    faces: int = 0
    told: float = 0.0

    @property
    def live(self) -> bool:
        """Whether it gives usable video."""
        return self.child is not None and self.state is not None and self.state.reason is None


@dataclass(slots=True)
class Stage:
    """A stage and its ends, monotonic seconds."""

    name: str
    child: Child
    ends: deque[float] = field(default_factory=deque)
    restarts: int = 0


class Service:
    """Owns all processes of one site."""

    def __init__(
        self,
        archive_url: str,
        settings: Settings,
        jobs: Sequence[CameraJob],
        log: Callable[[str], None],
        reload: Callable[[], Sequence[CameraJob]] | None = None,
        entries: LiveEntries | None = None,
    ) -> None:
        """`log` gets a line for whatever happens; `reload` gives the cameras when `ask_reload` was called."""
        self._archive_url, self._settings, self._log = archive_url, settings, log
        self._entries = entries or LiveEntries()
        self._folder = tempfile.TemporaryDirectory(prefix="streamproc-", ignore_cleanup_errors=True)
        self._reload = reload
        self._stopping, self._changed = threading.Event(), threading.Event()
        self.stages: dict[str, Stage] = {}
        self.cameras = {job.camera: Watched(job) for job in jobs}
        self.archive = ArchiveState(True, "")
        self.share = 1.0
        """Of all cameras' rates, what detection can take."""
        self._overload = Overload()
        self._ledger = _Ledger(self._door("archive"))

    def troubles(self) -> list[str]:
        """A sentence for everything that is wrong with the service itself; what cameras suffer is in the ledger."""
        wrong = [f"The {stage.name} stage is starting." for stage in self.stages.values() if not stage.child.spoke]
        wrong += [] if self.archive.well else [self.archive.detail]
        return wrong if len(self.stages) == len(STAGES) else ["The service is starting.", *wrong]

    def stop(self) -> None:
        """Nothing; `run` comes to its end."""
        self._stopping.set()

    def ask_reload(self) -> None:
        """Nothing; the configuration is read again soon."""
        self._changed.set()

    def run(self) -> None:
        """Nothing, when it was told to stop and what was under way is archived; the log says what is not.

        Raises PipelineError when a stage dies again and again.
        """
        try:
            for name in STAGES:
                self.stages[name] = Stage(name, self._started(name))
            while not self._stopping.is_set():
                self._read_again()
                for camera in self.cameras.values():
                    if camera.child is None:
                        camera.child = self._watching(camera.job)
                self._listen(LISTEN_SECONDS)
                self._check_stages()
                self._check_cameras()
            self._drain()
        finally:
            for child in self._children():
                child.end()
            self._folder.cleanup()

    def _read_again(self) -> None:
        """Nothing; if it was asked for, the configuration's cameras are the cameras. A wrong one changes nothing."""
        if self._reload is None or not self._changed.is_set():
            return
        self._changed.clear()
        try:
            self._change(self._reload())
        except ConfigError as error:
            self._log(f"{error} The cameras stay as they are.")

    def _change(self, jobs: Sequence[CameraJob]) -> None:
        """Nothing; these are the cameras from now on. Those that stay as they are notice nothing."""
        wanted = {job.camera: job for job in jobs}
        for name, camera in list(self.cameras.items()):
            if wanted.get(name) != camera.job:
                self._blind(camera, CameraState(GapReason.STOPPED, _now(), "It is not watched any more."))
                self._end_camera(camera)
                self._ledger.enter(WatchedNews(name, None))
                del self.cameras[name]
        for name, job in wanted.items():
            self.cameras.setdefault(name, Watched(job))

    def _door(self, name: str) -> Path:
        return Path(self._folder.name) / name

    def _started(self, name: str) -> Child:
        settings, entry = self._settings, getattr(self._entries, name)
        if name == "archive":
            return Child(name, entry, 1, self._door(name), self._archive_url)
        if name == "encode":
            return Child(name, entry, settings.encode.threads, self._door(name), self._door("archive"), settings.encode)
        return Child(name, entry, settings.detect.threads, self._door(name), self._door("encode"), settings.detect)

    def _watching(self, job: CameraJob) -> Child:
        settings = self._settings
        name = f"camera {job.camera}"
        return Child(name, self._entries.camera, 1, self._door("detect"), job, settings.service, settings.capture)

    def _children(self) -> list[Child]:
        return [
            *(camera.child for camera in self.cameras.values() if camera.child),
            *(stage.child for stage in self.stages.values()),
        ]

    def _listen(self, timeout: float) -> None:
        wait([ready for child in self._children() for ready in (child.control, child.sentinel)], timeout)
        for camera in self.cameras.values():
            if camera.child:
                for message in camera.child.messages():
                    self._hear(camera, message)
        for stage in self.stages.values():
            for message in stage.child.messages():
                self._hear_stage(message)

    def _hear(self, camera: Watched, message: Any) -> None:
        match message:
            case CameraState():
                self._blind(camera, message)
            case CameraBeat():
                camera.beat = message
                if camera.state is not None and time.monotonic() - camera.told > WATCHED_SECONDS:
                    camera.told = time.monotonic()
                    seen = message.newest if camera.live and message.newest else _now()
                    self._ledger.enter(WatchedNews(camera.job.camera, seen))

    def _hear_stage(self, message: Any) -> None:
        match message:
            case TrackArchived(name, faces, new) if name in self.cameras:
                self.cameras[name].tracks += new
                self.cameras[name].faces += faces
            case DetectBeat(share):
                self.share = share
                if news := self._overload.news(share, time.monotonic()):
                    self._log(news)
            case ArchiveState():
                self.archive = message
                self._log("The archive can be written to again." if message.well else message.detail)

    def _blind(self, camera: Watched, state: CameraState) -> None:
        """Nothing; the state is in the ledger and in the log, if it is another than before."""
        name, before = camera.job.camera, camera.state
        if before is not None and before.reason == state.reason:
            return
        if before is not None and state.since < before.since:
            # Found out late: it did not begin before what was known by then.
            state = replace(state, since=before.since)
        camera.state = state
        if before is None:
            self._ledger.enter(ResumedNews(name, state.since))
        if before is not None or state.reason is not None:
            self._ledger.enter(GapNews(name, state.since, state.reason, state.detail))
        self._log(f"{name}: {state.reason.value}: {state.detail}" if state.reason else f"{name}: live")

    def _check_cameras(self) -> None:
        for camera in self.cameras.values():
            child = camera.child
            if child is None:
                continue
            code = child.exit_code
            if code is None and not self._hangs(child, 3 * self._settings.service.silent):
                continue
            for message in child.messages():
                self._hear(camera, message)
            why = "gave no sign of life and was ended" if code is None else child.last_words()
            since = camera.beat.newest or _now()
            self._blind(camera, CameraState(GapReason.SILENT, since, f"The process that watches it {why}."))
            camera.restarts += 1
            self._end_camera(camera)

    def _end_camera(self, camera: Watched) -> None:
        if camera.child is not None:
            camera.child.end()
            camera.child = None

    def _check_stages(self) -> None:
        for stage in self.stages.values():
            child = stage.child
            code = child.exit_code
            if code is None and not self._hangs(child, self._settings.supervisor.silence):
                continue
            why = "gave no sign of life and was ended" if code is None else child.last_words()
            stage.ends.append(time.monotonic())
            stage.restarts += 1
            while stage.ends[0] < time.monotonic() - CRASH_SECONDS:
                stage.ends.popleft()
            if len(stage.ends) >= CRASHES:
                raise PipelineError(
                    f"The {stage.name} stage ended {len(stage.ends)} times in {CRASH_SECONDS:.0f} s, last it {why}."
                )
            self._log(f"The {stage.name} stage {why}; it is started anew.")
            child.end()
            stage.child = self._started(stage.name)

    def _hangs(self, child: Child, patience: float) -> bool:
        return time.monotonic() - child.heard > (patience if child.spoke else max(patience, START_UP))

    def _drain(self) -> None:
        """Ends the cameras, then each stage once the one before it has nothing more to give."""
        now = _now()
        for camera in self.cameras.values():
            self._end_camera(camera)
            self._blind(camera, CameraState(GapReason.STOPPED, camera.beat.newest or now, "The service was stopped."))
        for name in reversed(STAGES):
            if name == "archive":
                self._ledger.finish(self._settings.supervisor.stop)
            child = self.stages[name].child
            child.ask_to_stop()
            end = time.monotonic() + self._settings.supervisor.stop
            while child.exit_code is None and time.monotonic() < end:
                self._listen(LISTEN_SECONDS)
            if child.exit_code != 0:
                why = "took too long" if child.exit_code is None else child.last_words()
                self._log(f"The {name} stage {why}; what it had under way is lost.")


News: TypeAlias = ResumedNews | GapNews | WatchedNews


class _Ledger:
    """Tells the archive of gaps, from a thread of its own: the supervisor waits for nobody."""

    def __init__(self, door: Path) -> None:
        self._door = door
        self._news: queue.Queue[News | None] = queue.Queue()
        self._thread = threading.Thread(target=self._tell, daemon=True)
        self._thread.start()

    def enter(self, news: News) -> None:
        """Nothing; the news is on its way."""
        self._news.put(news)

    def finish(self, seconds: float) -> None:
        """Nothing; all news was told, or the time is up."""
        self._news.put(None)
        self._thread.join(seconds)

    def _tell(self) -> None:
        post = Post(self._door, 256, lambda: None, float("inf"))
        with suppress(OSError):
            while (news := self._news.get()) is not None:
                post.send(news)
                post.settle(0.0)
            post.finish(60.0)


def watch(service: Service) -> None:
    """Runs the service until SIGTERM or Ctrl-C; SIGHUP has the configuration read again."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _signal, _frame: service.stop())
    signal.signal(signal.SIGHUP, lambda _signal, _frame: service.ask_reload())
    service.run()


def _now() -> datetime:
    return datetime.now(UTC)
