"""Face detection: MTCNN (Zhang et al. 2016) with facenet-pytorch's trained nets."""

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from streamproc.faces.mtcnn import Candidates, Mtcnn
from streamproc.types import Detection, Image

WORKING_FACE = 24
"""Side, in pixels, of the smallest face asked for in the picture that is worked on (MTCNN's second net sees 24): a
large frame is shrunk, so that its crops are small as well."""
WORKING_SIDE = 640
"""Pictures whose shorter side is at most this are not shrunk."""
MIN_CONFIDENCE = 0.9
"""Detections under this are mostly hands, patterns and backs of heads."""


class Detector(Protocol):
    """Anything that finds faces in pictures of one size."""

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Detections of each picture (H, W, 3) uint8 RGB, all of one size, largest face first."""
        ...


def working_scale(min_face: int, side: int) -> float:
    """By how much pictures with a shorter side of `side` pixels are shrunk before they are searched."""
    return min(1.0, max(WORKING_FACE / min_face, WORKING_SIDE / side))


def shrunk(image: Image, scale: float) -> Image:
    """The picture at `scale`, at most 1."""
    if scale == 1:
        return image
    # Down to a half, two pixels each way are all that a pixel covers, which is six times as quick to compute.
    kind = cv2.INTER_LINEAR if scale >= 0.5 else cv2.INTER_AREA
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=kind).astype(np.uint8, copy=False)


class MtcnnDetector:
    """MTCNN over a pyramid that begins at the smallest face asked for: its cost falls with `min_face` squared."""

    def __init__(self, device: str, min_face: int = 40) -> None:
        """Loads the three nets on "cpu" or "cuda"; `min_face` is the shortest side of a face in pixels."""
        self.device = device
        self.min_face = min_face
        self._mtcnn = Mtcnn(device)

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Detections of each picture (H, W, 3) uint8 RGB, all of one size, largest face first."""
        if not images:
            return []
        side = min(images[0].shape[:2])
        if side < self.min_face:
            return [[] for _ in images]
        scale = working_scale(self.min_face, side)
        found = self._mtcnn.find([shrunk(image, scale) for image in images], self.min_face * scale)
        return [_detections(found.take(found.picture == n), scale) for n in range(len(images))]


def _detections(found: Candidates, scale: float) -> list[Detection]:
    """Detections, largest first, of the candidates of one picture, which is at `scale`."""
    sure = found.take(found.score >= MIN_CONFIDENCE)
    box, landmarks = ((pixels / scale).astype(np.float32) for pixels in (sure.box, sure.landmarks))
    order = np.argsort(-(box[:, 2:] - box[:, :2]).prod(axis=1), kind="stable")
    return [Detection(box[n], landmarks[n], float(sure.score[n])) for n in order]
