"""The stages behind live cameras: detect, encode and archive, each of which may be killed and started anew.

    camera (one each) ==frames==> detect --tracks--> encode --coded tracks--> archive

A track is forgotten by a stage when the archive holds it; until then it is sent again to whoever takes the next
stage's place. Frames are not: what a detector that was killed had not finished is lost, and stands in the ledger.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from pipelines.detect import Finder, Follower, detect
from pipelines.encode import Coder, code_tracks
from pipelines.intake import Intake
from pipelines.links import BROKEN, Door, Letter, Post
from pipelines.messages import (
    ArchiveState,
    Beat,
    DetectBeat,
    Ended,
    FrameReady,
    GapNews,
    Opened,
    ResumedNews,
    Session,
    SessionCoded,
    SessionEnded,
    SessionTrack,
    TrackArchived,
    WatchedNews,
)
from pipelines.worker import BEAT_SECONDS, Control
from storage import Archive
from streamproc.config import DetectSettings, EncodeSettings
from streamproc.errors import ArchiveFull
from streamproc.media.regions import Regions
from streamproc.types import CodedTrack, Detection, Frame, SourceResult, Track

UNDER_WAY = 64
"""Tracks that may be on their way to the archive; a track is about 0.6 MB."""
PATIENCE = 120.0
"""Seconds that the next stage may be away."""
FULL_RETRY = 1.0
"""Seconds between two attempts at a full disk."""


def run_detect(control: Control, door: Path, next_door: Path, settings: DetectSettings) -> None:
    """Loads the finder, then follows faces until it is asked to stop; who knocks meanwhile waits."""
    opened = Door(door)
    from streamproc.faces.finder import FaceFinder

    Detector(control, opened, next_door, settings, FaceFinder.load(settings.device, settings.min_face)).run()


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
        self._control.beat(DetectBeat(self._intake.share))

    def _work(self, news: Sequence[tuple[Connection, Any]]) -> None:
        frames = {
            id(message): self._intake.frame(line, message) for line, message in news if isinstance(message, FrameReady)
        }
        found = dict(zip(frames, detect(self._finder, list(frames.values())), strict=True))
        for line, message in news:
            match message:
                case Opened(job, started_at, rate, _, _, roi):
                    session = Session(job.camera, job.source, started_at)
                    follower = Follower(self._finder, rate, self._settings, False)
                    self._watches[line] = _Watch(session, follower, Regions(roi))
                case FrameReady():
                    self._follow(self._watches[line], frames[id(message)], found[id(message)])
                    self._intake.free(line, message)
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
        self._send(watch.session, watch.follower.update(frame, counted))
        self._send(watch.session, watch.follower.unfinished(), ended=False)

    def _send(self, session: Session, tracks: Sequence[Track], ended: bool = True) -> None:
        for track in tracks:
            self._post.send(SessionTrack(session, track, ended))

    def _end(self, line: Connection, ended: Ended | None) -> None:
        """Nothing; the session's open tracks and its end are under way. Without an `ended` its process was killed."""
        watch = self._watches.pop(line)
        session, follower = watch.session, watch.follower
        self._send(session, follower.finish())
        result = SourceResult(session.camera, session.source, detections=follower.detections, tracks=follower.tracks)
        if ended is not None:
            result = replace(result, frames=ended.frames, corrupt=ended.corrupt)
        self._post.send(SessionEnded(session, result))


def run_encode(control: Control, door: Path, next_door: Path, settings: EncodeSettings) -> None:
    """Loads the codec, then codes tracks until it is asked to stop."""
    opened = Door(door)
    from streamproc.codec.face_codec import FaceCodec

    encode(
        control, opened, next_door, settings, FaceCodec.load(settings.profile, settings.device, settings.enhancement)
    )


def encode(control: Control, door: Door, next_door: Path, settings: EncodeSettings, codec: Coder) -> None:
    """Codes tracks until it is asked to stop; a sender hears that its track is safe when the archive has said so."""
    control.stoppable()
    post = Post(next_door, UNDER_WAY, lambda: control.beat(Beat()), PATIENCE)
    inlet = Inlet(door)
    while not control.stopping.is_set():
        control.beat(Beat())
        letters = inlet.letters(settings.batch)
        tracks = [letter.message.track for letter in letters if isinstance(letter.message, SessionTrack)]
        coded = iter(code_tracks(codec, tracks, settings.quality))
        for letter in letters:
            message = letter.message
            if isinstance(message, SessionTrack):
                message = SessionCoded(message.session, codec.codec_id, codec.profile, next(coded), message.ended)
            post.send(message)
        while not post.finish(BEAT_SECONDS) and not control.stopping.is_set():
            control.beat(Beat())
        if not post.under_way:
            for letter in letters:
                letter.safe()


class Inlet:
    """All lines into a stage."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._lines: list[Connection] = []

    def letters(self, most: int) -> list[Letter]:
        """What is waiting, some `most` at once, after BEAT_SECONDS at the latest."""
        self._lines += self._door.newcomers()
        letters: list[Letter] = []
        if not self._lines:
            time.sleep(BEAT_SECONDS / 5)
            return letters
        for ready in wait(self._lines, BEAT_SECONDS):
            assert isinstance(ready, Connection)
            try:
                while len(letters) < most and ready.poll():
                    letters.append(Letter(ready, ready.recv()))
            except BROKEN:
                self._lines.remove(ready)
                ready.close()
        return letters


def run_archive(control: Control, door: Path, archive_url: str) -> None:
    """Writes what comes until it is asked to stop; a full disk is waited for."""
    control.stoppable()
    inlet = Inlet(Door(door))
    with Archive.open(archive_url) as archive:
        recorder = Recorder(archive, control)
        while not control.stopping.is_set():
            control.beat(Beat())
            for letter in inlet.letters(UNDER_WAY):
                if recorder.took(letter.message):
                    letter.safe()


class Recorder:
    """Puts what live stages say into the archive."""

    def __init__(self, archive: Archive, control: Control) -> None:
        self._archive, self._control = archive, control
        self._sources: dict[tuple[Session, str], str] = {}
        """The archive's names of the sessions under way, by what they are coded with."""
        self._held: dict[tuple[Session, int], int] = {}
        """Faces that the archive holds of tracks which have not ended."""
        self._full = False

    def took(self, message: object) -> bool:
        """Whether the message is on the disk; False when it was asked to stop while there was no room for it."""
        while True:
            try:
                self._write(message)
            except ArchiveFull as error:
                self._tell(False, str(error))
                if self._control.stopping.wait(FULL_RETRY):
                    return False
                self._control.beat(Beat())
            else:
                self._tell(True, "")
                return True

    def _tell(self, well: bool, detail: str) -> None:
        if self._full == well:
            self._full = not well
            self._control.send(ArchiveState(well, detail))

    def _source(self, session: Session, codec_id: str, profile: str) -> str:
        """The archive's name of the session; asked for once, not at every track."""
        key = session, codec_id
        if key not in self._sources:
            self._archive.register_codec(codec_id, profile)
            entry = self._archive.resume_session(session.camera, session.source, session.started_at, codec_id)
            self._sources[key] = entry.id
        return self._sources[key]

    def _change(self, session: Session, track: CodedTrack, ended: bool) -> TrackArchived:
        """How much more the archive holds now: news of a track stands in the place of what came before."""
        key, faces = (session, track.ordinal), len(track.faces)
        held = self._held.pop(key, None)
        if not ended:
            self._held[key] = faces
        return TrackArchived(session.camera, faces - (held or 0), held is None)

    def _write(self, message: object) -> None:
        match message:
            case SessionCoded(session, codec_id, profile, track, ended):
                self._archive.add_track(self._source(session, codec_id, profile), track)
                self._control.send(self._change(session, track, ended))
            case SessionEnded(session, result):
                self._held = {key: faces for key, faces in self._held.items() if key[0] != session}
                self._sources = {key: name for key, name in self._sources.items() if key[0] != session}
                self._archive.finish_session(session.camera, session.source, session.started_at, result)
            case ResumedNews(camera, at):
                self._archive.resume(camera, at)
            case GapNews(camera, at, reason, detail):
                # One reason at a time: what blinds a camera now is what somebody has to see to.
                self._archive.end_gaps(camera, at)
                if reason is not None:
                    self._archive.begin_gap(camera, at, reason, detail)
            case WatchedNews(camera, until):
                self._archive.watched(camera, until)
