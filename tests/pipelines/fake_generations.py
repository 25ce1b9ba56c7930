"""Two generations of weights that paint a feature into a picture, archives of theirs, and the work of a process that
codes one anew."""

import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from multiprocessing.connection import Connection

import numpy as np
from fake_people import NOON, SIZE, PeopleCodec, looks

from pipelines.upgrading import recoding
from storage import Archive
from streamproc.errors import CorruptCode
from streamproc.types import CodedFace, CodedTrack, FaceCode, FloatArray, FrameTime, Image

OLD, NEW = "old", "new"
DAMAGED = b"damaged"


@dataclass
class Painter(PeopleCodec):
    """A base layer is a feature, turned by `turn` places; a full picture's first pixels are the feature."""

    turn: int = 0
    patience: float = 0.0

    def raw(self, feature: FloatArray) -> FloatArray:
        """The question's feature in this codec's terms."""
        return np.asarray(np.roll(feature, self.turn))

    def reconstruct(self, bases: Sequence[bytes], enhancements: Sequence[bytes] = ()) -> Image:
        if DAMAGED in enhancements:
            raise CorruptCode("the enhancement layer is cut short")
        pictures = np.zeros((len(bases), 2 * SIZE), np.uint16)
        for picture, base in zip(pictures, bases, strict=True):
            picture[:] = np.frombuffer(np.roll(np.frombuffer(base, np.float32), -self.turn).tobytes(), np.uint16)
        return pictures.view(np.uint8)

    def encode(self, crops: Image, quality: int | None) -> Sequence[FaceCode]:
        assert quality is None
        time.sleep(self.patience)
        features = np.ascontiguousarray(crops).view(np.float32)
        return [FaceCode(self.codec_id, np.roll(one, self.turn).tobytes(), None) for one in features]


OLDER, NEWER = Painter(OLD, turn=0), Painter(NEW, turn=5)


def coded(person: int, at: int, k: int, more: bytes | None, codec: Painter) -> CodedFace:
    """Shot `k` of the person, seen `at` minutes after noon."""
    base = codec.raw(looks(person, 0.1 + 0.1 * k)).tobytes()
    moment = NOON + timedelta(minutes=at, seconds=k)
    time_, points = FrameTime(0, 0, Fraction(1), moment), ((1.0, 2.0),) * 5
    code = FaceCode(codec.codec_id, base, more)
    return CodedFace(time_, (1, 2, 81, 92), points, 0.9, 0.8, code, zlib.crc32(base))


def walk(
    archive: Archive,
    people: Iterable[int],
    codec: Painter = OLDER,
    pictures: Sequence[bytes | None] = (b"finer", b"finer"),
    camera: str = "door",
    first: int = 0,
) -> list[str]:
    """The ids of their tracks, one a minute from the `first` on, of as many shots as there are `pictures`; a codec has
    a video of its own."""
    archive.register_codec(codec.codec_id, "default")
    name = f"{camera}-{codec.codec_id}"
    source = archive.begin_source(camera, name, name, NOON, codec.codec_id).id
    ids = []
    for at, person in enumerate(people, start=first):
        faces = tuple(coded(person, at, k, more, codec) for k, more in enumerate(pictures))
        began = NOON + timedelta(minutes=at)
        archive.add_track(source, CodedTrack(at, began, began + timedelta(seconds=9), 9, faces))
        ids.append(f"{source}-{at:04d}")
    return ids


def recode_all(said: Connection, url: str) -> None:
    """Nothing; the archive is coded anew, few faces at a time, and the count said after each part."""
    recoding.AT_ONCE = 3
    with Archive.open(url) as archive:
        slow = Painter(NEW, turn=5, patience=0.002)
        done = recoding.recode(archive, lambda codec_id: OLDER, slow, said.send)
        said.send(f"finished {done.faces}")
