"""A small codec for the tests, and an archive of faces that it coded: a base layer is its feature, as float32."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Self

import numpy as np

from storage import Archive
from streamproc.errors import CorruptCode
from streamproc.types import CodedFace, CodedTrack, FaceCode, FloatArray, FrameTime, Image

START = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
SIZE = 8


def feature(*values: float) -> FloatArray:
    """(8,) of unit norm, in the direction of `values`, zeros after them."""
    vector = np.zeros(SIZE, np.float32)
    vector[: len(values)] = values
    return vector / np.float32(np.linalg.norm(vector))


class FakeScale:
    """A logistic scale that asks for more similarity where more tracks were searched."""

    def among(self, similarities: FloatArray, asked: float) -> Self:
        """Strangers are the same everywhere."""
        return self

    def expected(self, asked: float, track: FloatArray, shots: FloatArray) -> FloatArray:
        """(N,) the same for all but a worse question's."""
        return np.full_like(track, 0.6 * asked)

    def probability(self, similarity: FloatArray, expected: FloatArray, people: int) -> FloatArray:
        """(N,) probabilities."""
        chance = 1 / (1 + np.exp(-30 * (similarity - expected)) * people)
        return np.asarray(chance, np.float32)

    def threshold(self, people: int, false_alarms: float) -> float:
        """The similarity with an even chance, at the default rate."""
        return 0.6 + float(np.log(max(people, 1)) + np.log(0.05 / false_alarms)) / 30


@dataclass
class FakeCodec:
    """Decodes features as they are, and pictures as one colour of the payload's; counts what it decoded."""

    codec_id: str = "fake"
    calibration: FakeScale = field(default_factory=FakeScale)
    decoded: list[int] = field(default_factory=list)

    def features(self, base: Sequence[bytes]) -> FloatArray:
        """(N, 8) float32."""
        return np.frombuffer(b"".join(base), np.float32).reshape(len(base), SIZE)

    def reconstruct(self, base: Sequence[bytes], enhancement: Sequence[bytes] | None = None) -> Image:
        """(N, 256, 256, 3): the colour follows from the bytes; CorruptCode for an enhancement of `b"bad"`."""
        if enhancement is not None and b"bad" in enhancement:
            raise CorruptCode("the enhancement layer is cut short")
        self.decoded.append(len(base))
        payloads = base if enhancement is None else [one + more for one, more in zip(base, enhancement, strict=True)]
        colours = np.array([list(zlib.crc32(payload).to_bytes(4, "big")[:3]) for payload in payloads], np.uint8)
        return np.broadcast_to(colours[:, None, None, :], (len(base), 256, 256, 3)).copy()


def coded(vector: FloatArray, at: datetime = START, codec_id: str = "fake", more: bytes | None = b"more") -> CodedFace:
    """A face of this feature, seen at `at`."""
    base = vector.astype(np.float32).tobytes()
    time = FrameTime(0, 0, Fraction(1, 25), at)
    points = ((1.0, 2.0),) * 5
    return CodedFace(time, (1.0, 2.0, 81.0, 92.0), points, 0.9, 0.8, FaceCode(codec_id, base, more), zlib.crc32(base))


def ingest(
    archive: Archive, camera: str, tracks: Iterable[Sequence[FloatArray]], codec_id: str = "fake", first: int = 0
) -> list[str]:
    """The ids of the tracks archived, one an hour from START on, of faces with these features."""
    archive.register_codec(codec_id, "default")
    source_id = archive.begin_source(camera, f"{camera}.mp4", codec_id, START, codec_id).id
    ids = []
    for ordinal, features in enumerate(tracks, start=first):
        at = START + timedelta(hours=ordinal)
        faces = tuple(coded(vector, at, codec_id) for vector in features)
        archive.add_track(source_id, CodedTrack(ordinal, at, at, len(faces), faces))
        ids.append(f"{source_id}-{ordinal:04d}")
    return ids
