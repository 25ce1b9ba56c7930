"""An archive of people whose features stand at right angles, and a codec that stores features as they are."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Self

import numpy as np

from storage import Archive
from streamproc.types import CodedFace, CodedTrack, FaceCode, FloatArray, FrameTime

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SIZE = 64
CODEC = "people"


class PeopleScale:
    """A match from a cosine of 0.6 on."""

    def among(self, similarities: FloatArray, asked: float) -> Self:
        """Strangers are the same everywhere."""
        return self

    def expected(self, asked: float, track: FloatArray, shots: FloatArray) -> FloatArray:
        return np.full_like(track, 0.8)

    def between(self, one: FloatArray, other: FloatArray) -> FloatArray:
        return np.full(max(len(one), len(other)), 0.8, np.float32)

    def probability(self, similarity: FloatArray, expected: FloatArray, people: int) -> FloatArray:
        return np.asarray(1 / (1 + np.exp(-40 * (similarity - 0.6))), np.float32)

    def threshold(self, people: int, false_alarms: float) -> float:
        return 0.6


@dataclass
class PeopleCodec:
    codec_id: str = CODEC
    calibration: PeopleScale = field(default_factory=PeopleScale)

    def features(self, base: Sequence[bytes]) -> FloatArray:
        return np.frombuffer(b"".join(base), np.float32).reshape(len(base), SIZE)

    def drawn_features(self, count: int) -> FloatArray:
        drawn = np.random.default_rng(1).standard_normal((count, SIZE)).astype(np.float32)
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def looks(person: int, noise: float = 0.0) -> FloatArray:
    """(64,) of unit norm; `noise`: how far towards nobody."""
    vector = np.zeros(SIZE, np.float32)
    vector[person], vector[-1] = 1, noise
    return vector / np.float32(np.linalg.norm(vector))


@dataclass
class Site:
    """An archive with a source a camera, into which people walk."""

    archive: Archive
    ordinals: dict[str, int] = field(default_factory=dict)

    def walk(self, camera: str, person: int, began: float, ended: float, ordinal: int | None = None) -> str:
        """The id of the track, times in minutes after noon; with an `ordinal`, that one is written anew."""
        self.archive.register_codec(CODEC, "default")
        source = self.archive.begin_source(camera, f"{camera}.mp4", camera, NOON, CODEC).id
        number = self.ordinals.get(camera, 0) if ordinal is None else ordinal
        if ordinal is None:
            self.ordinals[camera] = number + 1
        faces = tuple(self._face(person, NOON + minute * MINUTE, k) for k, minute in enumerate((began, ended)))
        track = CodedTrack(number, NOON + began * MINUTE, NOON + ended * MINUTE, 9, faces)
        self.archive.add_track(source, track)
        return f"{source}-{number:04d}"

    def _face(self, person: int, at: datetime, k: int) -> CodedFace:
        base = looks(person, 0.2 + 0.1 * k).tobytes()
        time = FrameTime(0, round(at.timestamp()), Fraction(1), at)
        points = ((1.0, 2.0),) * 5
        return CodedFace(time, (1, 2, 81, 92), points, 0.9, 0.8, FaceCode(CODEC, base, None), zlib.crc32(base))
