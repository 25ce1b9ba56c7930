"""The capture stage: one process a source, from `media` into shared memory. Never imports torch."""

import time
from multiprocessing.connection import Connection

from pipelines.channels import FrameWriter
from pipelines.messages import Beat, Ended, Noticed, Opened, SourceDone, SourceJob
from pipelines.worker import Control
from streamproc.config import CaptureSettings
from streamproc.errors import SourceError
from streamproc.media.cadence import Cadence, Rates
from streamproc.media.hardware import Hardware
from streamproc.media.motion import MotionGate
from streamproc.media.notices import Notice
from streamproc.media.source import VideoSource, is_picture
from streamproc.types import FrameTime, Image, SourceResult


def run(control: Control, connection: Connection, job: SourceJob, settings: CaptureSettings) -> None:
    """Gives on the frames of one source, then says how it ended.

    A source that cannot even be opened is reported to the supervisor, past the stages that never heard of it.
    """

    def tell(notice: Notice) -> None:
        control.send(Noticed(notice.text))

    begun, hardware = time.monotonic(), Hardware(settings.hardware)
    writer = FrameWriter(connection, job.key, settings.slots, lambda: control.beat(Beat()))
    cadence = Cadence(Rates.file(settings), MotionGate()) if settings.motion else None

    def wanted(time_: FrameTime, luma: Image) -> bool:
        control.beat(Beat(source.frames, source.info.frames_expected))
        return cadence is None or cadence.wants(luma, time_.captured_at)

    try:
        with VideoSource(
            job.uri, job.camera, job.started_at, settings.max_rate, hardware=hardware, notice=tell, wanted=wanted
        ) as source:
            rate = min(settings.max_rate, float(source.info.rate or settings.max_rate))
            writer.send(Opened(job, source.started_at, rate, is_picture(job.uri), begun, source.clock))
            error = _give_on(source, writer)
            writer.send(Ended(job, source.frames, source.corrupt, error=error))
    except SourceError as failure:
        seconds = time.monotonic() - begun
        result = SourceResult(job.camera, job.source, seconds=seconds, error=str(failure))
        control.send(SourceDone(job.key, result))


def _give_on(source: VideoSource, writer: FrameWriter) -> str | None:
    """What ended the source too early, None if nothing did."""
    try:
        for frame in source:
            writer.put(frame)
    except SourceError as failure:
        return str(failure)
    return None
