"""The service's archive stage: the one process that writes."""

import time
from datetime import UTC, datetime
from pathlib import Path

from pipelines.clearing import Clearing
from pipelines.links import UNDER_WAY, Door, Inlet
from pipelines.live_messages import (
    ClearAsked,
    GapNews,
    HiddenForgotten,
    ResumedNews,
    RoomAsked,
    SessionCoded,
    SessionEnded,
    WatchedNews,
)
from pipelines.messages import ArchiveState, Session, TrackArchived
from pipelines.site import CHECK_CAMERA
from pipelines.tallies import Tally
from pipelines.worker import BEAT_SECONDS, Control
from storage import Archive, TrackAdded
from streamproc.errors import ArchiveFull, ArchiveUnreachable, UnknownRecord
from streamproc.types import Clock

RETRY = 1.0
"""Seconds between two attempts at a full disk, or at a server that is away."""
CLEARING_SECONDS = 0.05
"""How long it waits for messages between two steps of clearing up."""


def run_archive(control: Control, door: Path, archive_url: str) -> None:
    """Writes what comes until it is asked to stop; a full disk and a server that is away are waited for."""
    control.stoppable()
    inlet = Inlet(Door(door))
    with Archive.open(archive_url) as archive:
        recorder, clearing = Recorder(archive, control), False
        while not control.stopping.is_set():
            recorder.beat(0)
            letters = inlet.letters(UNDER_WAY, CLEARING_SECONDS if clearing else BEAT_SECONDS)
            for position, letter in enumerate(letters):
                recorder.beat(len(letters) - position)
                if recorder.took(letter.message):
                    letter.safe()
            clearing = recorder.clear_some()


class Recorder:
    """Puts what live stages say into the archive."""

    def __init__(self, archive: Archive, control: Control) -> None:
        self._archive, self._control = archive, control
        self._tally = Tally(UNDER_WAY)
        self._waiting = 0
        self._sources: dict[tuple[Session, str], tuple[str, Clock | None]] = {}
        """The archive's names of the sessions under way, by what they are coded with, and what told their times."""
        self._well = True
        self._clearing = Clearing(archive, control.send)

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
                if isinstance(error, ArchiveFull) and self._clearing.make_way(datetime.now(UTC)):
                    self._sources.clear()
                elif self._control.stopping.wait(RETRY):
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
                began = time.monotonic()
                try:
                    added = self._archive.add_track(self._source(session, codec_id, profile), track)
                except UnknownRecord:  # somebody else cleared up
                    self._sources.clear()
                    added = self._archive.add_track(self._source(session, codec_id, profile), track)
                self._tally.written(time.monotonic() - began)
                self._tell_of(session.camera, added)
            case SessionEnded(session, result):
                self._sources = {key: name for key, name in self._sources.items() if key[0] != session}
                self._archive.finish_session(session.camera, session.source, session.started_at, result)
            case ResumedNews(camera, at):
                self._archive.ledger.resume(camera, at)
            case GapNews(camera, at, reason, detail):
                # One reason at a time: what blinds a camera now is what somebody has to see to.
                self._archive.ledger.end_gaps(camera, at)
                if reason is not None:
                    self._archive.ledger.begin_gap(camera, at, reason, detail)
            case WatchedNews(camera, until):
                self._archive.ledger.watched(camera, until)
            case HiddenForgotten(camera, before):
                self._archive.forget_hidden(camera, before)
                self._sources.clear()  # one under way may have been among them: it is begun again
            case ClearAsked(rules, at):
                self._clearing.ask(rules, at)
            case RoomAsked(at):
                self._clearing.look(at)

    def clear_some(self) -> bool:
        """Whether there was something to clear up, and a step of it is done."""
        done = self._clearing.turn()
        if done:
            self._sources.clear()  # sessions without tracks go as well
        return done
