"""The conventional picture codecs: JPEG, JPEG 2000, HEVC intra; and which part of their files says anything of the
picture."""

import io
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from PIL import Image as Picture

from streamproc.errors import CorruptCode
from streamproc.types import CROP_SIZE, EnhancementCodec, Image

_JPEG_START, _JPEG_TABLES, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", 0xC4, 0xDA, b"\xff\xd9"
_J2K_START, _J2K_COMMENT, _J2K_TILE, _J2K_DATA, _J2K_END = b"\xff\x4f", 0x64, 0x90, 0x93, b"\xff\xd9"
_HEVC_START = b"\0\0\1"
_HEVC_UNIT_HEADER = 2
"""Bytes of a unit's header."""


class PictureCoder(Protocol):
    """Crops (256, 256, 3) uint8 RGB to files and back, at one setting."""

    codec: ClassVar[EnhancementCodec]

    @property
    def setting(self) -> str:
        """The setting, for people."""
        ...

    def encode(self, picture: Image) -> bytes:
        """The file, complete in itself."""
        ...

    def decode(self, data: bytes) -> Image:
        """The picture of a file, whatever its setting; raises CorruptCode."""
        ...

    def own(self, data: bytes) -> slice:
        """The part of a file of `encode` that says anything of the picture; what lies round it says setting and size,
        and is equal for all crops."""
        ...


@dataclass(frozen=True, slots=True)
class Jpeg:
    """JPEG at `quality` 1 to 95: 4:2:0, Huffman tables of its own."""

    quality: int
    codec: ClassVar[EnhancementCodec] = "jpeg"

    @property
    def setting(self) -> str:
        """The setting, for people."""
        return f"quality {self.quality}"

    def encode(self, picture: Image) -> bytes:
        """A JFIF file."""
        buffer = io.BytesIO()
        Picture.fromarray(picture).save(buffer, "JPEG", quality=self.quality, subsampling="4:2:0", optimize=True)
        return buffer.getvalue()

    def decode(self, data: bytes) -> Image:
        """The picture; raises CorruptCode."""
        return _opened(data, "JPEG", self.codec)

    def own(self, data: bytes) -> slice:
        """From the first Huffman table to the closing marker: these tables are made for the picture."""
        place, end = len(_JPEG_START), len(data) - len(_JPEG_END)
        while data[place + 1] not in (_JPEG_TABLES, _JPEG_SCAN):
            place = _behind(data, place)
        return slice(place, end)


@dataclass(frozen=True, slots=True)
class Jpeg2000:
    """JPEG 2000 for a PSNR of about `level` dB: one layer, 9/7 wavelet, a bare codestream (no file format round it)."""

    level: float
    codec: ClassVar[EnhancementCodec] = "jpeg2000"

    @property
    def setting(self) -> str:
        """The setting, for people."""
        return f"{self.level:g} dB asked for"

    def encode(self, picture: Image) -> bytes:
        """A codestream without the library's comment, its tile ending where the data does (length 0, which ISO 15444-1
        A.4.2 allows the last tile): nothing before the data differs between pictures."""
        buffer = io.BytesIO()
        Picture.fromarray(picture).save(
            buffer,
            "JPEG2000",
            no_jp2=True,
            irreversible=True,
            mct=1,
            quality_mode="dB",
            quality_layers=[self.level],
        )
        data = buffer.getvalue()
        parts, place = [_J2K_START], len(_J2K_START)
        while data[place + 1] != _J2K_TILE:
            after = _behind(data, place)
            if data[place + 1] != _J2K_COMMENT:
                parts.append(data[place:after])
            place = after
        return b"".join(parts) + data[place : place + 6] + bytes(4) + data[place + 10 :]

    def decode(self, data: bytes) -> Image:
        """The picture; raises CorruptCode."""
        return _opened(data, "JPEG2000", self.codec)

    def own(self, data: bytes) -> slice:
        """From the mark where data starts to the closing marker."""
        place = len(_J2K_START)
        while data[place + 1] != _J2K_DATA:
            place = _behind(data, place)
        return slice(place + 2, len(data) - len(_J2K_END))


@dataclass(frozen=True, slots=True)
class Hevc:
    """HEVC intra (x265) at quantiser `qp`: 4:2:0, tuned for PSNR."""

    qp: int
    codec: ClassVar[EnhancementCodec] = "hevc"

    @property
    def setting(self) -> str:
        """The setting, for people."""
        return f"QP {self.qp}"

    def encode(self, picture: Image) -> bytes:
        """An H.265 stream of one picture."""
        from streamproc.codec.hevc import encode_hevc

        return encode_hevc(picture, self.qp)

    def decode(self, data: bytes) -> Image:
        """The picture; raises CorruptCode."""
        # PyAV takes long to import, and few archives hold HEVC.
        from streamproc.codec.hevc import decode_hevc

        try:
            return _checked(decode_hevc(data, CROP_SIZE**2))
        except ValueError as error:
            raise _corrupt(self.codec) from error

    def own(self, data: bytes) -> slice:
        """Behind the parameter sets and the header of the slice's unit."""
        return slice(data.rindex(_HEVC_START) + len(_HEVC_START) + _HEVC_UNIT_HEADER, len(data))


def _opened(data: bytes, form: str, codec: EnhancementCodec) -> Image:
    """The crop that Pillow finds in a file of the format `form`; raises CorruptCode."""
    try:
        with Picture.open(io.BytesIO(data), formats=[form]) as picture:
            # Told before anything of that size is made.
            if picture.size != (CROP_SIZE, CROP_SIZE) or picture.mode != "RGB":
                raise ValueError("another size")
            return _checked(np.array(picture))
    except (OSError, SyntaxError, ValueError, Picture.DecompressionBombError) as error:
        raise _corrupt(codec) from error


def _checked(picture: Image) -> Image:
    if picture.shape != (CROP_SIZE, CROP_SIZE, 3):
        raise ValueError("another size")
    return picture


def _corrupt(codec: EnhancementCodec) -> CorruptCode:
    return CorruptCode(
        f"The enhancement layer holds no {codec} picture of {CROP_SIZE}x{CROP_SIZE} pixels; "
        "restore it from a backup or code the face again."
    )


def _behind(data: bytes, place: int) -> int:
    """Where the marker segment at `place`, of JPEG or JPEG 2000, ends."""
    return place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
