"""The stages behind live cameras: detect, encode and archive, each of which may be killed and started anew.

    camera (one each) ==frames==> detect --tracks--> encode --coded tracks--> archive

A track is forgotten by a stage when the archive holds it; until then it is sent again to whoever takes the next
stage's place. Frames are not: what a detector that was killed had not finished is lost, and stands in the ledger.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from pipelines.channels import FrameReader
from pipelines.detect import Finder, Follower, detect
from pipelines.encode import Coder, code_tracks, warm
from pipelines.links import BROKEN, Door, Inlet, Post
from pipelines.messages import (
    ArchiveState,
    ClearAsked,
    Cleared,
    ClockChanged,
    Ended,
    FrameReady,
    GapNews,
    HiddenForgotten,
    Opened,
    ResumedNews,
    Session,
    SessionCoded,
    SessionEnded,
    SessionTrack,
    TrackArchived,
    WatchedNews,
)
from pipelines.site import CHECK_CAMERA
from pipelines.tallies import Tally
from pipelines.worker import BEAT_SECONDS, Control
from storage import Archive, Removed, TrackAdded
from streamproc.config import DetectSettings, EncodeSettings
from streamproc.errors import ArchiveError, ArchiveFull
from streamproc.types import Clock, SourceResult, Track

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

    Detector(
        control, opened, next_door, settings, FaceFinder.load(settings.device, settings.min_face, settings.yunet)
    ).run()


class Detector:
    """From the frames of all cameras to tracks."""

    def __init__(self, control: Control, door: Door, next_door: Path, settings: DetectSettings, finder: Finder) -> None:
        self._control, self._door, self._settings, self._finder = control, door, settings, finder
        self._post = Post(next_door, UNDER_WAY, self._beat, PATIENCE)
        self._tally = Tally(UNDER_WAY)
        self._readers: dict[Connection, FrameReader] = {}
        self._sessions: dict[Connection, tuple[Session, Follower]] = {}

    def run(self) -> None:
        """Nothing, when it was asked to stop and all that was open is archived."""
        self._control.stoppable()
        while not self._control.stopping.is_set():
            self._beat()
            self._readers |= {line: FrameReader(line) for line in self._door.newcomers()}
            self._work(self._take())
            self._post.settle(0.0)
        for line in list(self._sessions):
            self._end(line, None)
        self._post.finish(PATIENCE)

    def _beat(self) -> None:
        self._control.beat(self._tally.report(self._post.under_way))

    def _take(self) -> list[tuple[Connection, Any]]:
        """What is waiting, with about a batch of frames at most; a line that broke ends its session."""
        news: list[tuple[Connection, Any]] = []
        if not self._readers:
            time.sleep(BEAT_SECONDS / 5)
            return news
        for ready in wait(list(self._readers), BEAT_SECONDS):
            assert isinstance(ready, Connection)
            share = max(1, self._settings.batch - len(news))
            try:
                while share and ready.poll():
                    news.append((ready, self._readers[ready].receive()))
                    share -= 1
            except BROKEN:
                news.append((ready, None))
        return news

    def _work(self, news: Sequence[tuple[Connection, Any]]) -> None:
        frames = {
            id(message): self._readers[line].frame(message) for line, message in news if isinstance(message, FrameReady)
        }
        with self._tally.work(len(frames)):
            found = dict(zip(frames, detect(self._finder, list(frames.values())), strict=True))
        for line, message in news:
            match message:
                case Opened(job, started_at, rate, _, _, clock):
                    session = Session(job.camera, job.source, started_at, clock)
                    self._sessions[line] = session, Follower(self._finder, rate, self._settings, False)
                case FrameReady():
                    session, follower = self._sessions[line]
                    self._tally.searched(session.camera, len(found[id(message)]))
                    with self._tally.work():
                        tracks = [*follower.update(frames[id(message)], found[id(message)]), *follower.unfinished()]
                    self._send(session, tracks)
                    with suppress(*BROKEN):  # the next reading of the line says so, too
                        self._readers[line].free(message)
                case ClockChanged(clock):
                    session, follower = self._sessions[line]
                    self._sessions[line] = replace(session, clock=clock), follower
                case Ended():
                    self._end(line, message)
                case None:
                    if line in self._sessions:
                        self._end(line, None)
                    self._readers.pop(line, None)
                    line.close()
        # Views of slots must not outlive the ring's place in this process.
        frames.clear()

    def _send(self, session: Session, tracks: Sequence[Track]) -> None:
        for track in tracks:
            self._post.send(SessionTrack(session, track))

    def _end(self, line: Connection, ended: Ended | None) -> None:
        """Nothing; the session's open tracks and its end are under way. Without an `ended` its process was killed."""
        session, follower = self._sessions.pop(line)
        self._send(session, follower.finish())
        result = SourceResult(session.camera, session.source, detections=follower.detections, tracks=follower.tracks)
        if ended is not None:
            result = replace(result, frames=ended.frames, corrupt=ended.corrupt)
        self._post.send(SessionEnded(session, result))


def run_encode(control: Control, door: Path, next_door: Path, settings: EncodeSettings) -> None:
    """Loads the codec, then codes tracks until it is asked to stop."""
    opened = Door(door)
    from streamproc.codec.face_codec import FaceCodec

    codec = FaceCodec.load(settings.profile, settings.device, settings.enhancement)
    warm(codec, settings.quality)
    encode(control, opened, next_door, settings, codec)


def encode(control: Control, door: Door, next_door: Path, settings: EncodeSettings, codec: Coder) -> None:
    """Codes tracks until it is asked to stop; a sender hears that its track is safe when the archive has said so."""
    control.stoppable()
    tally = Tally(UNDER_WAY)

    def beat() -> None:
        control.beat(tally.report(post.under_way))

    # One more than are ever sent: nothing waits inside `send`, where nobody would notice a stop.
    post = Post(next_door, UNDER_WAY + 1, beat, PATIENCE)
    inlet = Inlet(door)
    while not control.stopping.is_set():
        beat()
        room = UNDER_WAY - post.under_way
        letters = inlet.letters(min(settings.batch, room), BEAT_SECONDS) if room else []
        tracks = [letter.message.track for letter in letters if isinstance(letter.message, SessionTrack)]
        shots = sum(len(track.shots) for track in tracks)
        began = time.monotonic()
        with tally.work(shots):
            coded = iter(code_tracks(codec, tracks, settings.quality))
        tally.encoded(shots, time.monotonic() - began)
        for letter in letters:
            message = letter.message
            if isinstance(message, SessionTrack):
                message = SessionCoded(message.session, codec.codec_id, codec.profile, next(coded))
            post.send(message, letter.safe)
        post.settle(0.0 if room else BEAT_SECONDS)


def run_archive(control: Control, door: Path, archive_url: str) -> None:
    """Writes what comes until it is asked to stop; a full disk is waited for."""
    control.stoppable()
    inlet = Inlet(Door(door))
    with Archive.open(archive_url) as archive:
        recorder = Recorder(archive, control)
        while not control.stopping.is_set():
            recorder.beat(0)
            letters = inlet.letters(UNDER_WAY, BEAT_SECONDS)
            for position, letter in enumerate(letters):
                recorder.beat(len(letters) - position)
                if recorder.took(letter.message):
                    letter.safe()
            recorder.clear_some()


class Recorder:
    """Puts what live stages say into the archive."""

    def __init__(self, archive: Archive, control: Control) -> None:
        self._archive, self._control = archive, control
        self._tally = Tally(UNDER_WAY)
        self._waiting = 0
        self._sources: dict[tuple[Session, str], tuple[str, Clock | None]] = {}
        """The archive's names of the sessions under way, by what they are coded with, and what told their times."""
        self._full = False
        self._clearing: Iterator[Removed] | None = None
        self._cleared = Removed()

    def beat(self, waiting: int) -> None:
        """Nothing; a sign of life, while so many messages wait to be written."""
        self._waiting = waiting
        self._control.beat(self._tally.report(waiting))

    def took(self, message: object) -> bool:
        """Whether the message is on the disk; False when it was asked to stop while there was no room for it."""
        while True:
            try:
                with self._tally.work():
                    self._write(message)
            except ArchiveFull as error:
                self._tell(False, str(error))
                if self._control.stopping.wait(FULL_RETRY):
                    return False
                self.beat(self._waiting)
            else:
                self._tell(True, "")
                return True

    def _tell(self, well: bool, detail: str) -> None:
        if self._full == well:
            self._full = not well
            self._control.send(ArchiveState(well, detail))

    def _tell_of(self, camera: str, added: TrackAdded) -> None:
        now = datetime.now(UTC)
        for captured in added.captured:
            self._tally.arrived((now - captured).total_seconds())
        self._control.send(TrackArchived(camera, added.faces, added.new, max(added.captured, default=None)))

    def _source(self, session: Session, codec_id: str, profile: str) -> str:
        """The archive's name of the session; asked for once for each clock, not at every track."""
        key = session, codec_id
        name, clock = self._sources.get(key, ("", None))
        if not name or clock != session.clock:
            self._archive.register_codec(codec_id, profile)
            entry = self._archive.resume_session(
                session.camera,
                session.source,
                session.started_at,
                codec_id,
                clock=session.clock,
                hidden=session.camera == CHECK_CAMERA,
            )
            name = entry.id
            self._sources[key] = name, session.clock
        return name

    def _write(self, message: object) -> None:
        match message:
            case SessionCoded(session, codec_id, profile, track):
                source, began = self._source(session, codec_id, profile), time.monotonic()
                added = self._archive.add_track(source, track)
                self._tally.written(time.monotonic() - began)
                self._tell_of(session.camera, added)
            case SessionEnded(session, result):
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
            case HiddenForgotten(camera, before):
                self._archive.forget_hidden(camera, before)
                self._sources.clear()  # one under way may have been among them: it is begun again
            case ClearAsked(pictures_before, faces_before):
                self._clearing, self._cleared = self._archive.clear(pictures_before, faces_before), Removed()

    def clear_some(self) -> None:
        """Nothing; a step of the clearance that was asked for is done, if there is one left."""
        if self._clearing is None:
            return
        try:
            step = next(self._clearing, None)
        except ArchiveError as error:
            self._end_clearing(f"Clearing up stopped: {error}")
            return
        if step is not None:
            self._cleared += step
        elif self._cleared == Removed():
            self._clearing = None
        else:
            removed = self._cleared
            self._end_clearing(
                f"Cleared up: {removed.tracks} tracks of {removed.faces} faces and {removed.pictures} pictures were "
                f"over their time; the archive uses their {removed.bytes / 2**20:.1f} MiB again."
            )

    def _end_clearing(self, sentence: str) -> None:
        self._clearing = None
        self._sources.clear()  # sessions without tracks went as well
        self._control.send(Cleared(sentence))
