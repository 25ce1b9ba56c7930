"""What leaves a camera's process: masked pictures, and only those worth searching; and what the archive counts."""

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipelines.camera import _Camera
from pipelines.channels import FrameReader
from pipelines.links import Door
from pipelines.messages import CameraBeat, CameraJob, Ended, FrameReady, Opened, Pace
from pipelines.worker import Control
from streamproc.config import CaptureSettings, ServiceSettings
from streamproc.media.writing import ClipWriter
from streamproc.types import Image

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
CORNER = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5))
REGION = ((0.25, 0.0), (1.0, 0.0), (1.0, 1.0))


class Told(Control):
    """Keeps what is said to the supervisor."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def send(self, message: object) -> None:
        self.said.append(message)

    def beat(self, message: object) -> None:
        self.said.append(message)


def session(
    folder: Path, job: CameraJob, capture: CaptureSettings, pace: Pace | None = None
) -> tuple[list[object], list[Image], list[object]]:
    """What comes of one session of a camera: the messages, the pictures, what the supervisor is told."""
    place = folder / f"detect-{pace is None}"
    door, control = Door(place), Told()
    camera = _Camera(control, place, job, ServiceSettings(), capture)
    thread = threading.Thread(target=camera.session, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not (lines := door.newcomers()):
        assert time.monotonic() < end
        time.sleep(0.01)
    reader, messages, pictures = FrameReader(lines[0]), list[object](), list[Image]()
    if pace:
        reader.tell(pace)
    while not (messages and isinstance(messages[-1], Ended)):
        messages.append(reader.receive())
        if isinstance(ready := messages[-1], FrameReady):
            pictures.append(reader.frame(ready).image.copy())
            reader.free(ready)
    thread.join(10)
    return messages, pictures, control.said


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., CameraJob]:
    """A camera that is a file of four seconds, just begun; it comes faster than it was taken."""

    def make(**regions: object) -> CameraJob:
        path = tmp_path / "a.mkv"
        with ClipWriter(path, 96, 64, 25) as clip:
            for _ in range(100):
                clip.write(np.full((64, 96, 3), 90, np.uint8))
        os.utime(path)
        return CameraJob("gate", str(path), "gate", "tcp", **regions)  # type: ignore[arg-type]

    return make


def test_masks_are_painted_before_a_picture_leaves(tmp_path: Path, job: Callable[..., CameraJob]) -> None:
    capture = CaptureSettings(motion=False, slots=64)
    messages, pictures, said = session(tmp_path, job(roi=REGION, masks=(CORNER,)), capture)
    assert len(pictures) == 24
    for picture in pictures:
        assert picture[:32, :48].max() == 0
        assert picture[34:].min() > 40
        assert picture[:, 50:].min() > 40
    (opened,) = (message for message in messages if isinstance(message, Opened))
    assert opened.roi == REGION
    beats = [beat for beat in said if isinstance(beat, CameraBeat)]
    assert beats[-1].frames == 24


def test_a_still_view_is_searched_seldom_and_a_face_in_it_more_often(
    tmp_path: Path, job: Callable[..., CameraJob]
) -> None:
    capture = CaptureSettings(slots=64, idle_rate=0.1)
    _, seldom, said = session(tmp_path, job(), capture)
    beats = [beat for beat in said if isinstance(beat, CameraBeat)]
    assert beats[-1].frames == 24, "all of them are looked at"
    _, more, _ = session(tmp_path, job(), capture, Pace(1.0, True))
    assert len(seldom) <= 5
    assert len(seldom) + 3 <= len(more) < 20
