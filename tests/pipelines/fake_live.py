"""Processes of the service with models and cameras that need nothing: links and the archive are the real ones.

A fake camera's address says what becomes of it: `fake://NAME` shows a face for a second in every four, `?die=S` ends
its process after S seconds, `?hang=S` lets it fall silent, `?blind=S` says that its picture is black from then on.
"""

import os
import secrets
import signal
import time
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
from fake_stages import FakeCodec, FakeFinder

from pipelines.channels import FrameWriter
from pipelines.links import BROKEN, Door, knock
from pipelines.live_archive import Recorder, run_archive
from pipelines.live_detect import Detector
from pipelines.live_encode import encode
from pipelines.messages import CameraBeat, CameraJob, CameraState, Opened, SourceJob
from pipelines.worker import Control
from streamproc.config import CaptureSettings, DetectSettings, EncodeSettings, ServiceSettings
from streamproc.errors import ArchiveFull
from streamproc.types import Frame, FrameTime, GapReason

RATE = 10


def camera(control: Control, door: Path, job: CameraJob, settings: ServiceSettings, capture: CaptureSettings) -> None:
    asked = {name: float(values[0]) for name, values in parse_qs(urlsplit(job.uri).query).items()}
    began, frames, dropped = datetime.now(UTC), 0, 0
    writer = _writer(control, door, job, began, CameraBeat(0, 0, 0, None))
    control.send(CameraState(None, began, ""))
    while True:
        now = datetime.now(UTC)
        running = (now - began).total_seconds()
        if running > asked.get("die", 1e9):
            os.kill(os.getpid(), signal.SIGSEGV)
        if running > asked.get("hang", 1e9):
            time.sleep(1000)
        if running > asked.get("blind", 1e9):
            since = began + timedelta(seconds=asked["blind"])
            control.send(CameraState(GapReason.BLACK, since, "The picture is black."))
        level = 120 + int(running) % 100 if int(running) % 4 == 0 else 0
        time_ = FrameTime(0, frames, Fraction(1, RATE), now)
        try:
            dropped += not writer.offer(Frame(job.camera, frames, time_, np.full((64, 64, 3), level, np.uint8)))
        except BROKEN:
            control.send(CameraState(GapReason.STAGE_LOST, now, "The detector was started anew."))
            began = datetime.now(UTC)
            writer = _writer(control, door, job, began, CameraBeat(frames, 0, dropped, None))
            control.send(CameraState(None, datetime.now(UTC), ""))
        frames += 1
        control.beat(CameraBeat(frames, 0, dropped, now, sessions=1))
        time.sleep(1 / RATE)


def _writer(control: Control, door: Path, job: CameraJob, began: datetime, beat: CameraBeat) -> FrameWriter:
    key = secrets.randbits(40)
    writer = FrameWriter(knock(door, lambda: control.beat(beat), 30), key, 4, lambda: None)
    source = SourceJob(key, job.uri, job.source, job.camera, None, None)
    writer.send(Opened(source, began, RATE, False, time.monotonic()))
    return writer


def find(control: Control, door: Path, next_door: Path, settings: DetectSettings) -> None:
    Detector(control, Door(door), next_door, settings, FakeFinder()).run()


def code(control: Control, door: Path, next_door: Path, settings: EncodeSettings) -> None:
    encode(control, Door(door), next_door, settings, FakeCodec())


def tight_archive(control: Control, door: Path, archive_url: str) -> None:
    """The real stage on a disk without room while a file FULL lies beside the archive."""
    original = Recorder._write

    def write(self: Recorder, message: object) -> None:
        if Path(archive_url).with_name("FULL").exists():
            raise ArchiveFull("No room is left for the archive.")
        original(self, message)

    Recorder._write = write  # type: ignore[method-assign]
    run_archive(control, door, archive_url)
