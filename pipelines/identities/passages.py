"""An archive's tracks as gathering wants them."""

import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from storage import Archive, TrackFaces
from streamproc.query.gathering import Passage
from streamproc.query.presence import Span
from streamproc.query.search import SearchCodec

AT_ONCE = 4096
"""Faces read in one go."""


def passages(archive: Archive, codec: SearchCodec) -> Iterator[Passage]:
    """Every track of the archive that this codec wrote."""
    position = 0
    while True:
        tracks, reached = archive.identities.passing(codec.codec_id, position, AT_ONCE)
        if reached == position:
            return
        position = reached
        for _, passage in seen(tracks, codec):
            yield passage


def seen(tracks: Sequence[TrackFaces], codec: SearchCodec) -> list[tuple[TrackFaces, Passage]]:
    """The tracks with what gathering needs of them; those without a sound face are left out."""
    sound = [[zlib.crc32(p) == c for p, c in zip(one.payloads, one.checksums, strict=True)] for one in tracks]
    payloads = [
        p for one, good in zip(tracks, sound, strict=True) for p, ok in zip(one.payloads, good, strict=True) if ok
    ]
    features = codec.features(payloads) if payloads else np.zeros((0, 1), np.float32)
    found, place = [], 0
    for one, good in zip(tracks, sound, strict=True):
        count = sum(good)
        if count:
            mean = features[place : place + count].mean(axis=0)
            quality = max(quality for quality, ok in zip(one.qualities, good, strict=True) if ok)
            direction = (mean / np.linalg.norm(mean)).astype(np.float32)
            found.append((one, Passage(Span.of(one.track), direction, quality)))
        place += count
    return found
