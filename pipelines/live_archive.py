"""The service's archive stage: the one process that writes."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pipelines.links import UNDER_WAY, Door, Inlet
from pipelines.messages import (
    ArchiveState,
    ClearAsked,
    Cleared,
    GapNews,
    HiddenForgotten,
    ResumedNews,
    Session,
    SessionCoded,
    SessionEnded,
    TrackArchived,
    WatchedNews,
)
from pipelines.site import CHECK_CAMERA
from pipelines.tallies import Tally
from pipelines.worker import BEAT_SECONDS, Control
from storage import Archive, Removed, TrackAdded
from streamproc.errors import ArchiveError, ArchiveFull, ArchiveUnreachable
from streamproc.types import Clock

RETRY = 1.0
"""Seconds between two attempts at a full disk, or at a server that is away."""


def run_archive(control: Control, door: Path, archive_url: str) -> None:
    """Writes what comes until it is asked to stop; a full disk and a server that is away are waited for."""
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
        self._well = True
        self._clearing: Iterator[Removed] | None = None
        self._cleared = Removed()

    def beat(self, waiting: int) -> None:
        """Nothing; a sign of life, while so many messages wait to be written."""
        self._waiting = waiting
        self._control.beat(self._tally.report(waiting))

    def took(self, message: object) -> bool:
        """Whether the message is on the disk; False when it was asked to stop while there was no room for it, or the
        archive's server was away."""
        while True:
            try:
                with self._tally.work():
                    self._write(message)
            except (ArchiveFull, ArchiveUnreachable) as error:
                self._tell(False, str(error))
                if self._control.stopping.wait(RETRY):
                    return False
                self.beat(self._waiting)
            else:
                self._tell(True, "")
                return True

    def _tell(self, well: bool, detail: str) -> None:
        if self._well != well:
            self._well = well
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
