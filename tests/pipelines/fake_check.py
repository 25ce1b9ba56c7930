"""A path whose codec sees colours and places, and faults in it that leave every process alive."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from fake_stages import FakeFinder

from pipelines import known_face
from pipelines.links import Door
from pipelines.live_detect import Detector
from pipelines.live_encode import encode
from pipelines.worker import Control
from streamproc.config import DetectSettings, EncodeSettings, Settings
from streamproc.types import Detection, FaceCode, FloatArray, Image


class Scale:
    """A match from a similarity of 0.8 on."""

    def among(self, similarities: FloatArray, asked: float) -> Self:
        """Strangers are the same everywhere."""
        return self

    def expected(self, asked: float, track: FloatArray, shots: FloatArray) -> FloatArray:
        return track

    def threshold(self, people: int, false_alarms: float) -> float:
        return 0.8

    def probability(self, similarity: FloatArray, expected: FloatArray, people: int) -> FloatArray:
        return np.asarray(1 / (1 + np.exp(-40 * (similarity - 0.8))), np.float32)


@dataclass(frozen=True)
class ThumbCodec:
    """Sixteen colours for a base layer; features are what they differ by."""

    codec_id: str = "thumbs"
    profile: str = "fake"
    pretrained: bool = False
    calibration: Scale = field(default_factory=Scale)

    def raw_features(self, crops: Image) -> FloatArray:
        return np.ones((len(crops), 1), np.float32)

    def encode(self, crops: Image, quality: int | None, _features: FloatArray | None = None) -> list[FaceCode]:
        thumbs = [cv2.resize(crop, (4, 4), interpolation=cv2.INTER_AREA) for crop in crops]
        return [FaceCode(self.codec_id, thumb.tobytes(), b"picture") for thumb in thumbs]

    def features(self, base: Sequence[bytes]) -> FloatArray:
        colours = np.frombuffer(b"".join(base), np.uint8).reshape(len(base), 16, 3).astype(np.float32)
        colours -= colours.mean(axis=(1, 2), keepdims=True)
        flat = colours.reshape(len(base), -1)
        return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True), np.float32)


class Deaf(FakeFinder):
    """Finds nothing, and thinks nothing of it."""

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        return [[] for _ in images]


class Exchanged(FakeFinder):
    """Takes blue for red."""

    def crop(self, image, detection, camera_id, time):  # type: ignore[no-untyped-def]
        return super().crop(np.ascontiguousarray(image[:, :, ::-1]), detection, camera_id, time)


def deaf(control: Control, door: Path, next_door: Path, settings: DetectSettings) -> None:
    Detector(control, Door(door), next_door, settings, Deaf()).run()


def exchanged(control: Control, door: Path, next_door: Path, settings: DetectSettings) -> None:
    Detector(control, Door(door), next_door, settings, Exchanged()).run()


def code(control: Control, door: Path, next_door: Path, settings: EncodeSettings) -> None:
    encode(control, Door(door), next_door, settings, ThumbCodec())


def check(control: Control, door: Path, archive_url: str, settings: Settings) -> None:
    known_face.PATIENCE = 4.0
    control.send(known_face.check(control, door, archive_url, settings, FakeFinder(), ThumbCodec()))


def crash(control: Control, door: Path, archive_url: str, settings: Settings) -> None:
    raise MemoryError("no memory is left")
