"""Codes an archive's faces anew with newer weights, from the full pictures that the older ones give of them.

A face whose enhancement layer is gone stays with the older weights, which go on answering for it: what the base layer
alone shows is too little to tell by who somebody is (docs/decisions.md).
"""

import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from storage import Archive, FaceToRecode
from streamproc.errors import CorruptCode
from streamproc.types import FaceCode, Image

AT_ONCE = 32
"""Faces in one transaction."""


class OldCodec(Protocol):
    """What re-coding needs of the codec that wrote a face; `streamproc.FaceCodec` is one."""

    def reconstruct(self, bases: Sequence[bytes], enhancements: Sequence[bytes], /) -> Image:
        """(N, 256, 256, 3) uint8 RGB."""
        ...


class NewCodec(Protocol):
    """What it needs of the codec that comes after; `streamproc.FaceCodec` is one."""

    @property
    def codec_id(self) -> str:
        """The name of its weights."""
        ...

    def encode(self, crops: Image, quality: int | None, /) -> Sequence[FaceCode]:
        """The codes of (N, 256, 256, 3) uint8 RGB; without an enhancement where `quality` is None."""
        ...


@dataclass(frozen=True, slots=True)
class Recoded:
    """How many faces were coded anew, and how many could not be: damaged ones stay with the older weights."""

    faces: int
    damaged: int


def recode(
    archive: Archive,
    older: Callable[[str], OldCodec],
    newer: NewCodec,
    tell: Callable[[int], None] = lambda faces: None,
) -> Recoded:
    """What became of all faces with a picture that the newer codec does not have; `older` gives the codec of an id,
    `tell` hears how many were dealt with so far.

    Each part is on the disk before the next begins: whoever is killed goes on from there.
    """
    faces = damaged = position = 0
    while to_do := archive.recodings.to_do(newer.codec_id, position, AT_ONCE):
        position = to_do[-1].key
        layers = recoded_layers(to_do, older, newer)
        faces += archive.recodings.add(newer.codec_id, layers)
        damaged += len(to_do) - len(layers)
        tell(faces + damaged)
    return Recoded(faces, damaged)


def recoded_layers(
    faces: Sequence[FaceToRecode], older: Callable[[str], OldCodec], newer: NewCodec
) -> list[tuple[int, bytes]]:
    """(key, base layer in the newer codec's terms) of those faces that are not damaged."""
    by_codec: defaultdict[str, list[FaceToRecode]] = defaultdict(list)
    for face in faces:
        if zlib.crc32(face.base) == face.checksum:
            by_codec[face.codec_id].append(face)
    shown = [pair for codec_id, own in by_codec.items() for pair in _pictures(own, older(codec_id))]
    if not shown:
        return []
    codes = newer.encode(np.stack([picture for _, picture in shown]), None)
    return [(key, code.base) for (key, _), code in zip(shown, codes, strict=True)]


def _pictures(faces: Sequence[FaceToRecode], codec: OldCodec) -> list[tuple[int, Image]]:
    """(key, picture) of those that can be decoded."""
    try:
        pictures = codec.reconstruct([face.base for face in faces], [face.enhancement for face in faces])
    except CorruptCode:
        if len(faces) == 1:
            return []
        return [pair for face in faces for pair in _pictures([face], codec)]
    return [(face.key, picture) for face, picture in zip(faces, pictures, strict=True)]
