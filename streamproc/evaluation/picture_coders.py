"""The conventional picture codecs: JPEG, JPEG 2000, HEVC intra; and what of their files is header."""

import io
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image as Picture

from streamproc.evaluation.libraries import library
from streamproc.media.still import decode_hevc, encode_hevc
from streamproc.types import Image

_JPEG_END, _J2K_END = 2, 2
"""Bytes of the marker that closes a JPEG, a JPEG 2000 codestream."""
_HEVC_PARAMETERS = range(32, 35)
"""Types of HEVC's units that hold parameter sets: video, sequence, picture."""


class PictureCoder(Protocol):
    """Pictures (H, W, 3) uint8 RGB to files and back, at one setting."""

    @property
    def setting(self) -> str:
        """The setting, for people."""
        ...

    def encode(self, picture: Image) -> bytes:
        """The file."""
        ...

    def decode(self, data: bytes) -> Image:
        """The picture."""
        ...

    def header_bytes(self, data: bytes) -> int:
        """How much of the file says nothing about this picture: what an archive of equal crops could keep once."""
        ...


@dataclass(frozen=True, slots=True)
class Jpeg:
    """JPEG at `quality` 1 to 95: 4:2:0, Huffman tables of its own."""

    quality: int

    @property
    def setting(self) -> str:
        """The setting, for people."""
        return f"quality {self.quality}"

    def encode(self, picture: Image) -> bytes:
        """A JFIF file."""
        buffer = io.BytesIO()
        Picture.fromarray(picture).save(buffer, "JPEG", quality=self.quality, optimize=True)
        return buffer.getvalue()

    def decode(self, data: bytes) -> Image:
        """The picture."""
        with Picture.open(io.BytesIO(data)) as picture:
            return np.array(picture.convert("RGB"))

    def header_bytes(self, data: bytes) -> int:
        """All up to the end of the scan's header, its tables too, and the closing marker."""
        place = 2
        while data[place : place + 2] != b"\xff\xda":
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        return place + 2 + int.from_bytes(data[place + 2 : place + 4], "big") + _JPEG_END


@dataclass(frozen=True, slots=True)
class Jpeg2000:
    """JPEG 2000 for a PSNR of about `level` dB: one layer, 9/7 wavelet, a bare codestream (no file format round it)."""

    level: float

    @property
    def setting(self) -> str:
        """The setting, for people."""
        return f"{self.level:g} dB asked for"

    def encode(self, picture: Image) -> bytes:
        """A codestream."""
        data: bytes = library("imagecodecs").jpeg2k_encode(
            picture, level=self.level, codecformat="j2k", reversible=False, numthreads=1
        )
        return data

    def decode(self, data: bytes) -> Image:
        """The picture."""
        picture: Image = library("imagecodecs").jpeg2k_decode(data)
        return picture

    def header_bytes(self, data: bytes) -> int:
        """The main header and the tile's, up to the mark where data starts, and the closing marker."""
        return data.index(b"\xff\x93") + 2 + _J2K_END


@dataclass(frozen=True, slots=True)
class Hevc:
    """HEVC intra (x265) at quantiser `qp`: 4:2:0, tuned for PSNR."""

    qp: int

    @property
    def setting(self) -> str:
        """The setting, for people."""
        return f"QP {self.qp}"

    def encode(self, picture: Image) -> bytes:
        """An H.265 stream of one picture."""
        return encode_hevc(picture, self.qp)

    def decode(self, data: bytes) -> Image:
        """The picture."""
        return decode_hevc(data)

    def header_bytes(self, data: bytes) -> int:
        """The parameter sets with their start codes."""
        units = [unit for unit in data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]
        start_code = (len(data) - sum(len(unit) for unit in units)) / max(len(units), 1)
        sets = [unit for unit in units if unit[0] >> 1 & 63 in _HEVC_PARAMETERS]
        return round(sum(len(unit) + start_code for unit in sets))
