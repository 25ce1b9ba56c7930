"""Face detection: MTCNN (Zhang et al. 2016) with facenet-pytorch's trained nets."""

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
import torch
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from facenet_pytorch.models.utils.detect_face import detect_face

from streamproc.types import Array, Detection, Image

THRESHOLDS = (0.6, 0.7, 0.7)
"""facenet-pytorch's thresholds of the three stages."""
PYRAMID_FACTOR = 0.709
"""Ratio of two scales of the pyramid: half the area."""
WORKING_FACE = 24
"""Side, in pixels, of the smallest face asked for in the picture that MTCNN works on (its second net sees 24). MTCNN
makes every scale of its pyramid from that picture anew, so a large frame is shrunk once before."""
WORKING_SIDE = 640
"""Pictures whose shorter side is at most this are not shrunk."""
MIN_CONFIDENCE = 0.9
"""Detections under this are mostly hands, patterns and backs of heads."""


class Detector(Protocol):
    """Anything that finds faces in pictures of one size."""

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Detections of each picture (H, W, 3) uint8 RGB, all of one size, largest face first."""
        ...


class MtcnnDetector:
    """MTCNN over a pyramid that begins at the smallest face asked for: its cost falls with `min_face` squared."""

    def __init__(self, device: torch.device, min_face: int = 40) -> None:
        """Loads the three nets; `min_face` is the shortest side of a face in pixels."""
        self.device = device
        self.min_face = min_face
        nets = (net().to(device, memory_format=torch.channels_last).eval() for net in (PNet, RNet, ONet))
        self._nets = tuple(nets)

    @torch.inference_mode()
    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Detections of each picture (H, W, 3) uint8 RGB, all of one size, largest face first."""
        if not images:
            return []
        if min(images[0].shape[:2]) < self.min_face:
            return [[] for _ in images]
        scale = min(1.0, max(WORKING_FACE / self.min_face, WORKING_SIDE / min(images[0].shape[:2])))
        if scale < 1:
            images = [cv2.resize(i, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for i in images]  # type: ignore[misc]
        try:
            boxes, points = detect_face(
                np.stack(images), self.min_face * scale, *self._nets, THRESHOLDS, PYRAMID_FACTOR, self.device
            )
        except RuntimeError as error:
            # facenet-pytorch concatenates the candidates of a stage without asking whether there are any.
            if "expected a non-empty list" not in str(error):
                raise
            return [[] for _ in images]
        return [_detections(b, p, scale) for b, p in zip(boxes, points, strict=True)]


def _detections(boxes: Array, points: Array, scale: float) -> list[Detection]:
    """Detections, largest first, of one picture's (n, 5) boxes with confidence and (n, 5, 2) landmarks, found in the
    picture at `scale`."""
    found = [
        Detection(np.asarray(box[:4] / scale, np.float32), np.asarray(landmarks / scale, np.float32), float(box[4]))
        for box, landmarks in zip(boxes, points, strict=True)
        if box[4] >= MIN_CONFIDENCE
    ]
    return sorted(found, key=lambda d: -float((d.box[2] - d.box[0]) * (d.box[3] - d.box[1])))
