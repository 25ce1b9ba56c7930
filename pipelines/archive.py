"""The archive stage: the one process that writes. Never imports torch."""

import time
from dataclasses import replace
from multiprocessing.connection import Connection

from pipelines.channels import Inbox
from pipelines.messages import Archived, Beat, CodecReady, Downstream, Ended, Opened, SourceDone, TrackCoded
from pipelines.worker import ALERT_SECONDS, Control
from storage import Archive, SourceEntry
from streamproc.types import SourceResult

WAITING = 64


def run(control: Control, connection: Connection, archive_url: str) -> None:
    """Writes what comes until it is asked to stop; the transaction under way is finished first."""
    control.stoppable()
    inbox = Inbox(connection, WAITING)
    with Archive.open(archive_url) as archive:
        writer = Writer(archive, control)
        while not control.stopping.is_set():
            control.beat(Beat())
            message = inbox.get(ALERT_SECONDS)
            if message is not None:
                writer.take(message)


class Writer:
    """Puts what the stages say into the archive, source by source."""

    def __init__(self, archive: Archive, control: Control) -> None:
        self._archive = archive
        self._control = control
        self._codec_id = ""
        self._open: dict[int, tuple[Opened, SourceEntry]] = {}
        self._archived: dict[int, tuple[int, int]] = {}

    def take(self, message: Downstream) -> None:
        """Nothing; the message's content is on the disk."""
        match message:
            case CodecReady(codec_id, profile):
                self._archive.register_codec(codec_id, profile)
                self._codec_id = codec_id
            case Opened(job, started_at):
                entry = self._archive.begin_source(
                    job.camera, job.source, job.content_hash, started_at, self._codec_id, message.clock
                )
                self._open[job.key] = message, entry
                self._archived[job.key] = 0, 0
            case TrackCoded(key, track):
                self._archive.add_track(self._open[key][1].id, track)
                tracks, faces = self._archived[key]
                self._archived[key] = tracks + 1, faces + len(track.faces)
                self._control.send(Archived(key, tracks + 1))
            case Ended():
                self._end(message)

    def _end(self, ended: Ended) -> None:
        job = ended.job
        _, archived = self._archived.pop(job.key, (0, 0))
        result = SourceResult(
            job.camera,
            job.source,
            ended.frames,
            ended.corrupt,
            ended.detections,
            ended.tracks,
            archived,
            error=ended.error,
        )
        if job.key in self._open:
            opened, entry = self._open.pop(job.key)
            result = replace(result, seconds=time.monotonic() - opened.begun, clock=opened.clock)
            # What a dead capture left behind stays incomplete: the next ingest does it again.
            if ended.whole:
                self._archive.finish_source(entry.id, result)
        self._control.send(SourceDone(job.key, result))
