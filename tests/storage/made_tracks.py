"""Tracks made up for the tests: the same ordinal gives the same track, byte for byte."""

import random
import zlib
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from storage import Archive
from streamproc.types import CodedFace, CodedTrack, FaceCode, FrameTime

START = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
CODEC = "c0dec0000000001"
FACES_A_TRACK = 3


def made_face(seed: str, at: datetime, codec_id: str = CODEC, enhanced: bool = True) -> CodedFace:
    """A face whose every field follows from `seed`; it was seen at `at`."""
    chance = random.Random(seed)
    base = chance.randbytes(20)
    x, y = chance.randrange(1000), chance.randrange(1000)
    return CodedFace(
        time=FrameTime(0, chance.randrange(10**12), Fraction(1, 90000), at),
        box=(float(x), float(y), x + 80.5, y + 90.25),
        landmarks=tuple((x + 10.0 * k, y + 5.0 * k) for k in range(5)),
        confidence=0.75,
        quality=round(255 * chance.random()) / 255,  # as exactly as an archive keeps it
        code=FaceCode(codec_id, base, chance.randbytes(200) if enhanced else None),
        checksum=zlib.crc32(base),
    )


def made_track(ordinal: int, salt: str = "", codec_id: str = CODEC, enhanced: bool = True) -> CodedTrack:
    """Track `ordinal`: it begins that many minutes after START and lasts 20 s, a face every 10 s."""
    began = START + timedelta(minutes=ordinal)
    faces = tuple(
        made_face(f"{salt}-{ordinal}-{k}", began + timedelta(seconds=10 * k), codec_id, enhanced)
        for k in range(FACES_A_TRACK)
    )
    return CodedTrack(ordinal, began, began + timedelta(seconds=20), 40 + ordinal, faces)


def begin(archive: Archive, camera: str = "door", codec_id: str = CODEC, content: str = "hash") -> str:
    """The id of the source that was begun, its codec registered."""
    archive.register_codec(codec_id, "default")
    return archive.begin_source(camera, f"/videos/{camera}.mp4", content, START, codec_id).id
