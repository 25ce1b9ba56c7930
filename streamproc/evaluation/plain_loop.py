"""The loop that a user of facenet-pytorch would write: MTCNN as it comes on every frame, a feature of every face, one
picture after the other; and who passed, going by the faces that it finds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import numpy as np

from streamproc.faces import track
from streamproc.media.source import VideoSource
from streamproc.types import Detection, FaceCrop, Frame, Image

MIN_FRAMES = 5
"""Frames that somebody has to be found in to count as a person."""


@dataclass(frozen=True, slots=True, eq=False)
class PlainFrame:
    """A frame's faces; of the frame itself its time alone is kept."""

    frame: Frame
    faces: tuple[Detection, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PlainLoop:
    """What the loop found; `seconds` with loading, `working` without, `cpu` the processor seconds of that; `rate` of
    the clip, frames a second."""

    seconds: float
    working: float
    cpu: float
    rate: float
    found: tuple[PlainFrame, ...]

    @property
    def faces(self) -> int:
        """Faces in all frames."""
        return sum(len(one.faces) for one in self.found)


def plain_loop(clip: Path, started_at: datetime | None = None, frames: int | None = None) -> PlainLoop:
    """What the loop finds in a clip, or in its first `frames` frames; `started_at`: UTC of the first."""
    began = time.monotonic()
    import torch
    from facenet_pytorch import MTCNN

    from streamproc.codec.trunk import load_trunk

    detector, net = MTCNN(keep_all=True), load_trunk()
    loaded, used = time.monotonic(), time.process_time()
    found = []
    with VideoSource(str(clip), "plain", started_at) as source:
        rate = float(source.info.rate or 25)
        for frame in islice(source, frames):
            boxes, scores, points = detector.detect(frame.image, landmarks=True)
            faces = [] if boxes is None else [Detection(*row) for row in zip(boxes, points, scores, strict=True)]
            for face in faces:
                x0, y0, x1, y1 = np.clip(face.box, 0, None).astype(int)
                crop = torch.from_numpy(frame.image[y0:y1, x0:x1].copy()).permute(2, 0, 1)[None].float()
                if crop.numel():
                    with torch.inference_mode():
                        small = torch.nn.functional.interpolate(crop, (160, 160), mode="bilinear")
                        net.net((small - small.mean()) / small.std())
            empty = Frame(frame.camera_id, frame.index, frame.time, np.zeros((1, 1, 3), np.uint8))
            found.append(PlainFrame(empty, tuple(faces)))
    ended = time.monotonic()
    return PlainLoop(ended - began, ended - loaded, time.process_time() - used, rate, tuple(found))


@dataclass(frozen=True, slots=True, eq=False)
class PlainFace:
    """A face of a person, and when it was seen."""

    at: datetime
    detection: Detection


def people(loop: PlainLoop) -> list[Sequence[PlainFace]]:
    """Each person's faces: those of the tracks with at least MIN_FRAMES of them."""
    # Every face of a track is wanted here, not the best ones alone, and however near in time.
    spacing, track.SHOT_SPACING = track.SHOT_SPACING, timedelta(0)
    try:
        builder = track.TrackBuilder(loop.rate, shots=10_000, min_detections=MIN_FRAMES)
        ended = [person for one in loop.found for person in builder.update(one.frame, list(one.faces), _kept)]
        ended += builder.finish()
    finally:
        track.SHOT_SPACING = spacing
    shots: dict[int, Sequence[PlainFace]] = {}
    for person in ended:
        shots[person.ordinal] = [
            PlainFace(shot.time.captured_at.astimezone(UTC), shot.detection) for shot in person.shots if shot.time
        ]
    return list(shots.values())


def _kept(image: Image, detection: Detection) -> FaceCrop:
    return FaceCrop(None, None, detection, detection.confidence, image)
