"""`FaceFinder`: the door to detection and alignment."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from streamproc.faces.align import TEMPLATE, align, visible_share
from streamproc.faces.detect import Detector, MtcnnDetector
from streamproc.faces.quality import quality
from streamproc.faces.yunet import YunetDetector
from streamproc.inference import pick_device
from streamproc.types import CROP_SIZE, Detection, FaceCrop, FrameTime, Image

VERSION = 2
"""To be raised with every change of which faces are found, or where: prepared pictures are thrown away by it."""


def geometry() -> str:
    """16 hex digits that change with what a crop would show: the finder's version and the alignment's template."""
    return hashlib.sha256(f"{VERSION} {CROP_SIZE} {TEMPLATE.round(3).tolist()}".encode()).hexdigest()[:16]


class FaceFinder:
    """Finds faces and aligns them to 256x256 crops."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    @classmethod
    def load(cls, device: str = "auto", min_face: int = 40, yunet: str | None = None) -> Self:
        """A finder on `device` ("auto", "cpu", "cuda") for faces of at least `min_face` pixels, by MTCNN, or by YuNet,
        on the CPU, where its model file is given. Raises WeightsError."""
        if yunet is not None:
            return cls(YunetDetector(Path(yunet), min_face))
        return cls(MtcnnDetector(pick_device(device), min_face))

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Detections of each picture (H, W, 3) uint8 RGB, all of one size, largest face first."""
        return self.detector.detect(images)

    def crop(
        self, image: Image, detection: Detection, camera_id: str | None = None, time: FrameTime | None = None
    ) -> FaceCrop:
        """The aligned crop of one detection, with its quality."""
        picture = align(image, detection.landmarks)
        visible = visible_share(detection.landmarks, image.shape[1], image.shape[0])
        return FaceCrop(camera_id, time, detection, quality(picture, detection, visible), picture)

    def find(self, image: Image) -> list[FaceCrop]:
        """Every face of one picture (H, W, 3) uint8 RGB as an aligned crop, largest first."""
        return [self.crop(image, detection) for detection in self.detect([image])[0]]

    def subject(self, image: Image) -> FaceCrop | None:
        """A portrait's subject: the face nearest to the middle of the picture; None where there is no face."""
        found = self.detect([image])[0]
        middle = np.array([image.shape[1], image.shape[0]]) / 2
        if not found:
            return None
        return self.crop(image, min(found, key=lambda d: float(np.abs((d.box[:2] + d.box[2:]) / 2 - middle).sum())))
