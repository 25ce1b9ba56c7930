"""Stages with models that need no weights and no torch: the processes, queues and the archive are the real ones."""

import hashlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipelines import archive, capture, detect, encode
from pipelines.channels import Inbox
from pipelines.messages import Beat, SourceJob
from pipelines.worker import Control
from streamproc.config import CaptureSettings, DetectSettings, EncodeSettings
from streamproc.errors import WeightsError
from streamproc.types import Detection, FaceCode, FaceCrop, FloatArray, FrameTime, Image

CODEC_ID = "fake"


class FakeFinder:
    """One face in the middle of every frame that is not black."""

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        return [[_middle(image)] if image.max() > 40 else [] for image in images]

    def crop(self, image: Image, detection: Detection, camera_id: str | None, time: FrameTime | None) -> FaceCrop:
        picture = np.asarray(cv2.resize(image, (256, 256)), np.uint8)
        return FaceCrop(camera_id, time, detection, float(picture.mean()) / 255, picture)


def _middle(image: Image) -> Detection:
    height, width = image.shape[:2]
    box = np.array([width / 4, height / 4, width * 3 / 4, height * 3 / 4], np.float32)
    return Detection(box, np.full((5, 2), width / 2, np.float32), 0.99)


@dataclass(frozen=True)
class FakeCodec:
    """A hash for a base layer, a small JPEG for an enhancement."""

    codec_id: str = CODEC_ID
    profile: str = "fake"
    pretrained: bool = False

    def raw_features(self, crops: Image) -> FloatArray:
        return np.ones((len(crops), 1), np.float32)

    def encode(self, crops: Image, quality: int | None, _features: FloatArray | None = None) -> list[FaceCode]:
        codes = []
        for crop in crops:
            _, data = cv2.imencode(".jpg", crop[::8, ::8])
            codes.append(FaceCode(CODEC_ID, hashlib.sha256(crop.tobytes()).digest()[:16], data.tobytes()))
        return codes


def find(control: Control, connections: Sequence[Connection], outbox: Connection, settings: DetectSettings) -> None:
    detect.follow(control, connections, outbox, settings, FakeFinder())


def hang(control: Control, connections: Sequence[Connection], outbox: Connection, settings: DetectSettings) -> None:
    control.send(Beat())
    time.sleep(1000)


def code(
    control: Control,
    connection: Connection,
    outbox: Connection,
    settings: EncodeSettings,
    crops: Path | None,
    _gathering: object,
) -> None:
    encode.code(control, Inbox(connection, 8), outbox, settings, crops, FakeCodec())


def code_in_vain(*arguments: Any) -> None:
    """All is coded, nothing gathered."""
    code(*arguments)
    raise WeightsError("they are strangers to me: introduce them")


def refuse(*_: object) -> None:
    raise WeightsError("the weights are gone: fetch them again")


def crash(control: Control, connection: Connection, job: SourceJob, settings: CaptureSettings) -> None:
    """A capture whose decoder brings its process down, where the file's name says so."""
    if "crash" in job.uri:
        os.kill(os.getpid(), signal.SIGSEGV)
    capture.run(control, connection, job, settings)


def slow_write(control: Control, connection: Connection, archive_url: str) -> None:
    """The real writer, with time between its transactions for a kill to fall into."""
    original = archive.Writer.take

    def take(self: archive.Writer, message: object) -> None:
        time.sleep(0.05)
        original(self, message)  # type: ignore[arg-type]

    archive.Writer.take = take  # type: ignore[method-assign]
    archive.run(control, connection, archive_url)
