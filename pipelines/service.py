"""The service: watches live cameras for months. One process a camera, three stages behind them, none of which may die
unnoticed: each is started anew, and what nobody could see meanwhile goes into the ledger of gaps.
"""

import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from pipelines.children import Child
from pipelines.events import Event, Level, Log, camera_event
from pipelines.identities.follower import Follower
from pipelines.live_messages import GapNews, ResumedNews, WatchedNews
from pipelines.messages import (
    ArchiveState,
    CameraBeat,
    CameraJob,
    CameraState,
    Cleared,
    DiskState,
    Noticed,
    TrackArchived,
)
from pipelines.schedule import Schedule
from pipelines.site import Site
from pipelines.tallies import StageReport
from pipelines.telling import Ledger
from pipelines.watched import Stage as Stage
from pipelines.watched import Watched as Watched
from streamproc.config import Settings
from streamproc.errors import ConfigError, PipelineError
from streamproc.media.hours import ALWAYS
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
    detect: str = "pipelines.live_detect:run_detect"
    encode: str = "pipelines.live_encode:run_encode"
    archive: str = "pipelines.live_archive:run_archive"
    check: str = "pipelines.known_face:run"
    identities: str = "pipelines.identities.following:run"


class Service:
    """Owns all processes of one site."""

    def __init__(
        self,
        archive_url: str,
        settings: Settings,
        jobs: Sequence[CameraJob],
        log: Log,
        reload: Callable[[], Site] | None = None,
        entries: LiveEntries | None = None,
    ) -> None:
        """`log` gets an event for whatever happens; `reload` reads the site again when `ask_reload` was called."""
        self._archive_url, self._settings, self._log = archive_url, settings, log
        self._entries = entries or LiveEntries()
        self._folder = tempfile.TemporaryDirectory(prefix="streamproc-", ignore_cleanup_errors=True)
        self._reload = reload
        self._stopping, self._changed = threading.Event(), threading.Event()
        self.stages: dict[str, Stage] = {}
        self.cameras = {job.camera: Watched(job) for job in jobs}
        self.archive = ArchiveState(True, "")
        self._overload = Overload()
        self._ledger = Ledger(self._door("archive"))
        self.schedule = Schedule(settings, log, self._ledger.enter, self._keep_hours, self._checking)
        self.follower = Follower(self._following if settings.service.identities else None, log)

    def troubles(self) -> list[str]:
        """A sentence for everything that is wrong with the service itself; what cameras suffer is in the ledger."""
        wrong = [f"The {stage.name} stage is starting." for stage in self.stages.values() if not stage.child.spoke]
        wrong += [] if self.archive.well else [self.archive.detail]
        wrong += self.schedule.troubles()
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
            self.schedule.begin()
            while not self._stopping.is_set():
                self._read_again()
                for camera in self.cameras.values():
                    now = time.monotonic()
                    if camera.child is None and camera.open and now >= camera.not_before:
                        camera.begin(self._watching(camera.job), now)
                self._listen(LISTEN_SECONDS)
                self._check_stages()
                self._check_cameras()
                up = all(stage.child.spoke for stage in self.stages.values())
                self.schedule.turn([camera.seen() for camera in self.cameras.values()], up)
                self.follower.turn(up)
            self.schedule.end()
            self.follower.end()
            self._drain()
        finally:
            self.schedule.end()
            self.follower.end()
            for child in self._children():
                child.end()
            self._folder.cleanup()

    def _read_again(self) -> None:
        """Nothing; if it was asked for, cameras and jobs are the configuration's. A wrong one changes nothing."""
        if self._reload is None or not self._changed.is_set():
            return
        self._changed.clear()
        try:
            site = self._reload()
        except ConfigError as error:
            said = f"{error} The cameras stay as they are."
            self._log(Event("configuration_wrong", said, Level.ERROR, detail=str(error)))
            return
        self._change(site.jobs)
        self.schedule.settle(site.settings)

    def _change(self, jobs: Sequence[CameraJob]) -> None:
        """Nothing; these are the cameras from now on. Those that stay as they are notice nothing."""
        wanted = {job.camera: job for job in jobs}
        for name, camera in list(self.cameras.items()):
            if wanted.get(name) != camera.job:
                self._blind(camera, CameraState(GapReason.STOPPED, _now(), "It is not watched any more."))
                camera.end()
                self._ledger.enter(WatchedNews(name, None))
                del self.cameras[name]
        for name, job in wanted.items():
            # Other hours do not make it another camera.
            self.cameras.setdefault(name, Watched(job)).job = job

    def _keep_hours(self) -> None:
        """Nothing; cameras outside their recording hours are closed, others are open."""
        now = _now()
        for camera in self.cameras.values():
            was, camera.open = camera.open, camera.job.hours.open_at(now)
            if camera.open and not was and camera.state is not None:
                # What is found out from now on did not begin while it was closed.
                camera.state = replace(camera.state, since=now)
            if not camera.open:
                camera.end()
                self._blind(camera, CameraState(GapReason.CLOSED, now, "It is outside its recording hours."))
                camera.beat = replace(camera.beat, newest=None)
                self._watched(camera, now)

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
        job = replace(job, hours=ALWAYS)  # which are none of its business
        return Child(name, self._entries.camera, 1, self._door("detect"), job, settings.service, settings.capture)

    def _checking(self) -> Child:
        door, url = self._door("detect"), self._archive_url
        return Child("known-face check", self._entries.check, 1, door, url, self._settings)

    def _following(self) -> Child:
        return Child("identities", self._entries.identities, 1, self._archive_url, self._settings)

    def _children(self) -> list[Child]:
        return [
            *(camera.child for camera in self.cameras.values() if camera.child),
            *(stage.child for stage in self.stages.values()),
            *(child for child in (self.schedule.check.child, self.follower.child) if child),
        ]

    def _listen(self, timeout: float) -> None:
        wait([ready for child in self._children() for ready in (child.control, child.sentinel)], timeout)
        for camera in self.cameras.values():
            if camera.child:
                for message in camera.child.messages():
                    self._hear(camera, message)
        for stage in self.stages.values():
            for message in stage.child.messages():
                self._hear_stage(stage, message)

    def _hear(self, camera: Watched, message: Any) -> None:
        match message:
            case CameraState():
                self._blind(camera, message)
            case Noticed(text):
                name = camera.job.camera
                self._log(Event("camera_notice", f"{name}: {text}", camera=name, detail=text))
            case CameraBeat():
                camera.hear(message)
                self._watched(camera, message.newest if camera.live and message.newest else _now())

    def _watched(self, camera: Watched, seen: datetime) -> None:
        if camera.state is not None and time.monotonic() - camera.told > WATCHED_SECONDS:
            camera.told = time.monotonic()
            self._ledger.enter(WatchedNews(camera.job.camera, seen))

    def _hear_stage(self, stage: Stage, message: Any) -> None:
        match message:
            case StageReport():
                stage.hear(message)
                if stage.name == "detect" and (news := self._overload.news(message.share, time.monotonic())):
                    self._log(Event("overload", news, Level.WARNING, stage="detect"))
            case TrackArchived(name, faces, new, newest) if name in self.cameras:
                self.cameras[name].gained(faces, new, newest)
            case Cleared(detail, well):
                self._log(Event("cleared", detail, Level.INFO if well else Level.WARNING))
            case DiskState(low, detail):
                if low:
                    self._log(Event("disk_low", detail, Level.WARNING, stage="archive"))
                else:
                    self._log(Event("disk_well", "The archive's disk has room again.", stage="archive"))
            case ArchiveState():
                self.archive = message
                if message.well:
                    self._log(Event("archive_well", "The archive can be written to again.", stage="archive"))
                else:
                    self._log(Event("archive_full", message.detail, Level.ERROR, stage="archive"))

    def _blind(self, camera: Watched, state: CameraState) -> None:
        """Nothing; the state is in the ledger and in the log, if it is another than before."""
        name, before = camera.job.camera, camera.state
        if state.reason is GapReason.BEHIND and not self.archive.well:
            state = replace(state, reason=GapReason.DISK_FULL, detail=self.archive.detail)
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
        lasted = None if before is None else (state.since - before.since).total_seconds()
        self._log(camera_event(name, state.reason, state.detail, lasted))

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
            said = f"{camera.job.camera}: the process that watches it {why}; it is started anew."
            self._log(Event("camera_restarted", said, Level.DEBUG, camera=camera.job.camera, detail=why))
            camera.died(time.monotonic())

    def _check_stages(self) -> None:
        for stage in self.stages.values():
            child = stage.child
            code = child.exit_code
            if code is None and not self._hangs(child, self._settings.supervisor.silence):
                continue
            for message in child.messages():
                self._hear_stage(stage, message)
            why = "gave no sign of life and was ended" if code is None else child.last_words()
            stage.ends.append(time.monotonic())
            stage.restarts += 1
            while stage.ends[0] < time.monotonic() - CRASH_SECONDS:
                stage.ends.popleft()
            if len(stage.ends) >= CRASHES:
                raise PipelineError(
                    f"The {stage.name} stage ended {len(stage.ends)} times in {CRASH_SECONDS:.0f} s, last it {why}."
                )
            said = f"The {stage.name} stage {why}; it is started anew."
            self._log(Event("stage_restarted", said, Level.WARNING, stage=stage.name, detail=why))
            child.end()
            stage.renew(self._started(stage.name))
            self.schedule.stage_restarted(stage.name)

    def _hangs(self, child: Child, patience: float) -> bool:
        return time.monotonic() - child.heard > (patience if child.spoke else max(patience, START_UP))

    def _drain(self) -> None:
        """Ends the cameras, then each stage once the one before it has nothing more to give."""
        now = _now()
        for camera in self.cameras.values():
            camera.end()
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
                said = f"The {name} stage {why}; what it had under way is lost."
                self._log(Event("stage_lost", said, Level.ERROR, stage=name, detail=why))


def watch(service: Service) -> None:
    """Runs the service until SIGTERM or Ctrl-C; SIGHUP has the configuration read again."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _signal, _frame: service.stop())
    signal.signal(signal.SIGHUP, lambda _signal, _frame: service.ask_reload())
    service.run()


def _now() -> datetime:
    return datetime.now(UTC)
