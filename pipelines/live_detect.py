"""The service's detection stage: from the frames of all live cameras to tracks.

    camera (one each) ==frames==> detect --tracks--> encode --coded tracks--> archive

Each of the stages may be killed and started anew. A track is forgotten by a stage when the archive holds it; until then
it is sent again to whoever takes the next stage's place. Frames are not: what a detector that was killed had not
finished is lost, and stands in the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipelines.detect import Finder, Follower, detect
from pipelines.intake import Intake
from pipelines.links import PATIENCE, UNDER_WAY, Door, Post
from pipelines.live_messages import SessionEnded, SessionTrack
from pipelines.loading import loading
from pipelines.messages import ClockChanged, Ended, FrameReady, Opened, Session
from pipelines.tallies import Tally
from pipelines.worker import Control
from streamproc.config import DetectSettings
from streamproc.media.regions import Regions
from streamproc.types import Detection, Frame, SourceResult, Track


def run_detect(control: Control, door: Path, next_door: Path, settings: DetectSettings) -> None:
    """Loads the finder, then follows faces until it is asked to stop; who knocks meanwhile waits."""
    opened = Door(door)
    with loading():
        from streamproc.faces.finder import FaceFinder

        finder = FaceFinder.load(settings.device, settings.min_face, settings.yunet)
    Detector(control, opened, next_door, settings, finder).run()


@dataclass(slots=True)
class _Watch:
    """A session under way: who is followed in it, and where faces count."""

    session: Session
    follower: Follower
    regions: Regions


class Detector:
    """From the frames of all cameras to tracks."""

    def __init__(self, control: Control, door: Door, next_door: Path, settings: DetectSettings, finder: Finder) -> None:
        self._control, self._settings, self._finder = control, settings, finder
        self._intake = Intake(door, settings.batch)
        self._post = Post(next_door, UNDER_WAY, self._beat, PATIENCE)
        self._tally = Tally(UNDER_WAY)
        self._watches: dict[Connection, _Watch] = {}

    def run(self) -> None:
        """Nothing, when it was asked to stop and all that was open is archived."""
        self._control.stoppable()
        while not self._control.stopping.is_set():
            self._beat()
            self._work(self._intake.take())
            self._intake.tell({line: watch.follower.following for line, watch in self._watches.items()})
            self._post.settle(0.0)
        for line in list(self._watches):
            self._end(line, None)
        self._post.finish(PATIENCE)

    def _beat(self) -> None:
        self._control.beat(self._tally.report(self._post.under_way, self._intake.share))

    def _work(self, news: Sequence[tuple[Connection, Any]]) -> None:
        frames = {
            id(message): self._intake.frame(line, message) for line, message in news if isinstance(message, FrameReady)
        }
        with self._tally.work(len(frames)):
            found = dict(zip(frames, detect(self._finder, list(frames.values())), strict=True))
        for line, message in news:
            match message:
                case Opened(job, started_at, rate, _, _, clock, roi):
                    session = Session(job.camera, job.source, started_at, clock)
                    follower = Follower(self._finder, rate, self._settings, False)
                    self._watches[line] = _Watch(session, follower, Regions(roi))
                case FrameReady():
                    self._follow(self._watches[line], frames[id(message)], found[id(message)])
                    self._intake.free(line, message)
                case ClockChanged(clock):
                    watch = self._watches[line]
                    watch.session = replace(watch.session, clock=clock)
                case Ended():
                    self._end(line, message)
                case None:
                    if line in self._watches:
                        self._end(line, None)
                    self._intake.close(line)
        # Views of slots must not outlive the ring's place in this process.
        frames.clear()

    def _follow(self, watch: _Watch, frame: Frame, found: Sequence[Detection]) -> None:
        """Nothing; what the frame says of tracks is under way."""
        height, width = frame.image.shape[:2]
        counted = [detection for detection in found if watch.regions.holds(detection.box, width, height)]
        self._tally.searched(watch.session.camera, len(counted))
        with self._tally.work():
            tracks = [*watch.follower.update(frame, counted), *watch.follower.unfinished()]
        self._send(watch.session, tracks)

    def _send(self, session: Session, tracks: Sequence[Track]) -> None:
        for track in tracks:
            self._post.send(SessionTrack(session, track))

    def _end(self, line: Connection, ended: Ended | None) -> None:
        """Nothing; the session's open tracks and its end are under way. Without an `ended` its process was killed."""
        watch = self._watches.pop(line)
        session, follower = watch.session, watch.follower
        self._send(session, follower.finish())
        result = SourceResult(session.camera, session.source, detections=follower.detections, tracks=follower.tracks)
        if ended is not None:
            result = replace(result, frames=ended.frames, corrupt=ended.corrupt)
        self._post.send(SessionEnded(session, result))
