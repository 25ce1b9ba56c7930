"""The known face: sent through the service's whole path as a camera's would be, then searched for, in one process.

A service whose stages are all alive may still be deaf: a detector that finds nothing looks like an empty street. This
face is nobody's (`benchmarks/known_face.py` makes it), and it is in every check.
"""

import secrets
import time
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from pipelines.channels import FrameWriter
from pipelines.detect import Finder
from pipelines.encode import Coder
from pipelines.links import BROKEN, knock
from pipelines.messages import Beat, CheckDone, Ended, Opened, SourceJob
from pipelines.site import CHECK_CAMERA
from pipelines.worker import Control
from storage import Archive
from streamproc.config import Settings
from streamproc.errors import PipelineError, StreamprocError, UnknownRecord
from streamproc.media.photo import read_photo
from streamproc.query.search import SearchCodec, SearchResult, search
from streamproc.types import FloatArray, Frame, FrameTime, Image

PICTURE = Path(__file__).with_name("known_face.jpg")
FACE = 118
"""Height of the face in the picture, pixels."""
SIZE = (360, 640)
"""Height and width of a frame out of it."""
MARGIN = 20
"""Pixels of the picture beyond a frame on each side, for the face to move in."""
RATE = 6
"""Frames a second of the check's own time: the face is in view for a second or two."""
LEAST_FRAMES = 8
PATIENCE = 60.0
"""Seconds for each of: the detector lets it in, takes its frames, the face is in the archive. Live cameras go on."""
LOOK_SECONDS = 0.25
"""Between two looks into the archive."""


class CheckCodec(Coder, SearchCodec, Protocol):
    """What codes the question, and searches with it."""


def run(control: Control, door: Path, archive_url: str, settings: Settings) -> None:
    """Checks once, and says how it went; models run on the CPU, whatever the stages run on."""
    control.send(Beat())
    from pipelines.asking import Asker

    on_cpu = {"device": "cpu"}
    detect, encode = settings.detect.model_copy(update=on_cpu), settings.encode.model_copy(update=on_cpu)
    asker = Asker.load(settings.model_copy(update={"detect": detect, "encode": encode}))
    control.send(check(control, door, archive_url, settings, asker.finder, asker.codec))


def check(
    control: Control, door: Path, archive_url: str, settings: Settings, finder: Finder, codec: CheckCodec
) -> CheckDone:
    """Whether the face that was sent through `door` was found again, and after how many seconds."""
    began, first = time.monotonic(), None
    try:
        frames = known_frames(max(LEAST_FRAMES, 2 * settings.detect.min_detections), settings.detect.min_face)
        question = _feature(finder, codec, frames[0])
        exchanged = _feature(finder, codec, np.ascontiguousarray(frames[0][:, :, ::-1]))
        if question is None:
            raise PipelineError(
                "The finder does not find the known face: see that detect and encode load what they should."
            )
        began = time.monotonic()
        first, last = _send(control, door, frames, settings.capture.slots)
        until = last + timedelta(microseconds=1)
        with Archive.open(archive_url) as archive:
            _judge(_found(control, archive, codec, question, first, until))
            if exchanged is not None:
                _compare(*(search(archive, codec, ask, [CHECK_CAMERA], first, until) for ask in (question, exchanged)))
    except StreamprocError as error:
        return CheckDone(False, str(error), time.monotonic() - began, first)
    return CheckDone(True, "", time.monotonic() - began, first)


def known_frames(count: int, min_face: int = 0) -> list[Image]:
    """So many frames (360, 640, 3) of the face going round a little; larger ones where only larger faces are looked
    for."""
    picture = read_photo(PICTURE)
    scale = max(1.0, 1.5 * min_face / FACE)
    frames = []
    for angle in np.arange(count) * (2 * np.pi / count):
        top, left = round(MARGIN * (1 + np.sin(angle) / 4)), round(MARGIN * (1 - np.cos(angle)))
        frame = np.ascontiguousarray(picture[top : top + SIZE[0], left : left + SIZE[1]])
        frames.append(frame if scale == 1 else np.asarray(cv2.resize(frame, None, fx=scale, fy=scale), np.uint8))
    return frames


def _feature(finder: Finder, codec: CheckCodec, image: Image) -> FloatArray | None:
    """What the path's own models make of the face when they are asked straight; None where they find none."""
    found = finder.detect([image])[0]
    if not found:
        return None
    code = codec.encode(finder.crop(image, found[0], None, None).image[None], None)[0]
    feature: FloatArray = codec.features([code.base])[0]
    return feature


def _send(control: Control, door: Path, images: list[Image], slots: int) -> tuple[datetime, datetime]:
    """When the first and the last frame say that they were captured; the detector has all of them."""
    end = time.monotonic() + PATIENCE

    def wait() -> None:
        control.beat(Beat())
        if time.monotonic() > end:
            raise PipelineError(f"The detector took no frame of the known face for {PATIENCE:.0f} s.")

    line = knock(door, lambda: control.beat(Beat()), PATIENCE)
    key = secrets.randbits(40)
    job = SourceJob(key, CHECK_CAMERA, CHECK_CAMERA, CHECK_CAMERA, None, None)
    step = timedelta(seconds=1) / RATE
    first = datetime.now(UTC) - len(images) * step
    times = [first + number * step for number in range(len(images))]
    try:
        writer = FrameWriter(line, key, slots, wait)
        writer.send(Opened(job, first, float(RATE), False, time.monotonic()))
        for number, (image, at) in enumerate(zip(images, times, strict=True)):
            writer.put(Frame(CHECK_CAMERA, number, FrameTime(0, number, Fraction(1, RATE), at), image))
        writer.send(Ended(job, len(images)))
    except BROKEN as error:
        raise PipelineError("The detector went away while it was shown the known face.") from error
    return times[0], times[-1]


def _found(
    control: Control, archive: Archive, codec: CheckCodec, question: FloatArray, first: datetime, until: datetime
) -> SearchResult:
    """The answer, as soon as there is something in the archive to answer with."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            result = search(archive, codec, question, [CHECK_CAMERA], first, until)
        except UnknownRecord:  # the first check of all: the archive does not know the camera yet
            result = None
        if result is not None and (result.matches or result.damaged or result.other_codec):
            return result
        control.beat(Beat())
        time.sleep(LOOK_SECONDS)
    raise PipelineError(
        f"The detector was shown the known face, but no face of it was archived within {PATIENCE:.0f} s: "
        "faces of cameras may be missed as well."
    )


def _judge(result: SearchResult) -> None:
    if not result.matches:
        raise PipelineError(
            "The known face was archived, but cannot be searched for: "
            + ("its code is damaged." if result.damaged else "another codec wrote it than the configuration names.")
        )
    if result.verdict != "match":
        raise PipelineError(
            "The known face was archived, but search does not find it: it is the same person with a probability of "
            f"{result.matches[0].probability:.1%}."
        )


def _compare(right: SearchResult, exchanged: SearchResult) -> None:
    """Colours matter little to who it is: a path that exchanges them is known only by what resembles its work more."""
    if exchanged.matches and right.matches and exchanged.matches[0].similarity > right.matches[0].similarity:
        raise PipelineError("The known face was archived with red and blue exchanged: so are all cameras' faces.")
