"""The two payloads of a coded face, byte by byte.

Base layer (no version of its own: the codec_id kept beside it names tables and meaning; its checksum is kept beside it
too, for each byte counts):

    one range-coded stream: level d under the table of dimension d whose turn it is (streamproc.codec.trellis; the
    only one where latents are rounded), d = 0 .. D-1; the identity's dimensions come first

Enhancement layer, version 1 (numbers are big-endian, highest bit first):

    byte 0      version (3 bits) = 1 | standalone (1 bit) | quality (4 bits)
    bytes 1-3   residual's minimum + 255 (9 bits) | its maximum + 255 (9 bits) | 6 bits that are zero
    bytes 4-5   CRC-32 of base layer, bytes 0-3, z and y (as little-endian int16), its halves folded by exclusive or
    bytes 6-    one range-coded stream: z, then y under the tables that z chooses; where the codec has a context, the
                places of y that come first, then those whose tables the first ones choose, too

Enhancement layer, version 4, a picture file of a conventional codec:

    byte 0      version (3 bits) = 4 | share of the base picture, among the codec's `SHARES` (2 bits) | quality (3 bits)
    bytes 1-3   minimum + 255 (9 bits) | maximum + 255 (9 bits) | codec (2 bits): 1 JPEG, 2 JPEG 2000, 3 HEVC
                | head (4 bits): 0 the file is whole, else which of `file_heads` was taken off it
    bytes 4-5   CRC-16 (polynomial 0x1021, begun with 0xFFFF) of base layer, bytes 0-3 and bytes 6-
    bytes 6-    the file: the crop less that share of the base picture, minimum..maximum stretched to 0..255

Read but no longer written: version 3, where the share is one of `_THIRD_SHARES` for all codecs; and version 2, with
byte 0 as in version 1: the share is 0 for a standalone picture, else 1 for JPEG and JPEG 2000 and 0.7 for HEVC.

Each value of a base layer and of version 1 has one encoding only. Lengths are checked before any work, and everything
else that a reader may meet raises CorruptCode.
"""

import binascii
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streamproc.codec.range_coder import CodeTables, IntArray, RangeDecoder, RangeEncoder, decode_rows
from streamproc.codec.trellis import ROUNDING, Trellis
from streamproc.errors import CodecError, CorruptCode
from streamproc.types import EnhancementCodec

SYMBOLS_VERSION: Final = 1
THIRD_VERSION: Final = 3
FILE_VERSION: Final = 4
CODECS: Final[tuple[EnhancementCodec, ...]] = ("learned", "jpeg", "jpeg2000", "hevc")
"""By their number in the header."""
MAX_BASE_BYTES: Final = 255
MAX_ENHANCEMENT_BYTES: Final = 1 << 16
QUALITIES: Final = 16
FILE_QUALITIES: Final = 8


class Share(NamedTuple):
    """How much of a base picture is taken off a crop before the crop is coded: of the coarse part (the picture blurred
    by a Gaussian of `COARSE` pixels) and of the fine rest."""

    coarse: float
    fine: float


COARSE: Final = 6.0
ALL: Final = Share(1, 1)
NOTHING: Final = Share(0, 0)
SHARES: Final[dict[EnhancementCodec, tuple[Share, ...]]] = {
    "learned": (NOTHING, ALL),
    "jpeg": (NOTHING, Share(0.85, 0.85), Share(1, 0.7), ALL),
    "jpeg2000": (NOTHING, Share(0.7, 0.4), Share(0.85, 0.5), Share(1, 0.7)),
    "hevc": (NOTHING, Share(0.3, 0.3), Share(0.5, 0.3), Share(0.6, 0.3)),
}
"""Those that a codec may take, by their number in the header: what a soft picture gets right a conventional codec finds
cheaply, what it gets wrong must be coded, and of the fine part more is wrong."""
_THIRD_SHARES: Final = (NOTHING, Share(0.4, 0.4), Share(0.7, 0.7), ALL)
_SECOND_SHARES: Final[dict[EnhancementCodec, Share]] = {"jpeg": ALL, "jpeg2000": ALL, "hevc": Share(0.7, 0.7)}
HEADS: Final = 16
_RANGE_BYTES: Final = 4
_CRC_BYTES: Final = 2
HEADER_BYTES: Final = _RANGE_BYTES + _CRC_BYTES
"""Bytes of an enhancement before its range-coded stream or its file."""
_HEAD_BITS: Final = 4
_SPARE_BITS: Final = 2 + _HEAD_BITS
"""Those behind the ranges: codec and head, zero in version 1."""
_AGAIN: Final = "restore it from a backup or code the face again"


@dataclass(frozen=True, slots=True)
class EnhancementHeader:
    """What an enhancement says before its symbols or its file; raises CodecError for what the format cannot say.

    `quality` in 0..15, of a conventional codec in 0..7, is the index of the rate point; `low` and `high` in -255..255
    are the residual's minimum and maximum in pixel values; `share` of the base picture, one of the codec's or of an
    older version, was taken off the face. `codec` wrote the rest of the payload; `head` in 0..15 is the
    number of the head that a conventional codec's file was stored without, 0 for none.
    """

    quality: int
    low: int
    high: int
    share: Share = ALL
    codec: EnhancementCodec = "learned"
    head: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        qualities = QUALITIES if self.codec == "learned" else FILE_QUALITIES
        shares = SHARES[self.codec] if self.codec == "learned" else (*SHARES[self.codec], *_THIRD_SHARES)
        if not 0 <= self.quality < qualities:
            raise CodecError(f"Quality index {self.quality} is not in 0..{qualities - 1}.")
        if self.share not in shares:
            raise CodecError(f"Codec '{self.codec}' cannot say that {self.share} of a base picture was taken off.")
        if not -255 <= self.low <= self.high <= 255:
            raise CodecError(f"A residual from {self.low} to {self.high} is not an ascending range within -255..255.")
        if not 0 <= self.head < (1 if self.codec == "learned" else HEADS):
            raise CodecError(f"Head {self.head} is none that a file of codec '{self.codec}' can lack.")


@dataclass(frozen=True, slots=True, eq=False)
class Enhancement:
    """A decoded enhancement payload: `hyper` z and `latent` y are int32 within 16 bits, shaped as their indexes."""

    header: EnhancementHeader
    hyper: IntArray
    latent: IntArray


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A conventional codec's enhancement payload: `data` is its file, without the head that `header` names."""

    header: EnhancementHeader
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class EnhancementTables:
    """Tables for z, the table that each z takes (an index array of z's shape), and the tables for y, whose places are
    read in `turns`: masks (h, w) that part them."""

    hyper: CodeTables
    hyper_indexes: IntArray
    latent: CodeTables
    turns: tuple[npt.NDArray[np.bool_], ...]


def pack_base(levels: IntArray, tables: CodeTables, trellis: Trellis = ROUNDING) -> bytes:
    """The base payload of `levels` (D,); raises CodecError where they cannot be coded in 255 bytes."""
    if levels.shape != (len(tables) // trellis.turns,):
        raise CodecError(f"A base layer has {len(tables) // trellis.turns} levels, not {levels.shape}.")
    encoder = RangeEncoder()
    encoder.encode(levels, trellis.rows(levels[None])[0], tables)
    data = encoder.finish()
    if len(data) > MAX_BASE_BYTES:
        raise CodecError(f"This base layer takes {len(data)} bytes, above the format's {MAX_BASE_BYTES}.")
    return data


def unpack_bases(
    payloads: Sequence[bytes], tables: CodeTables, trellis: Trellis = ROUNDING, count: int | None = None
) -> IntArray:
    """The first `count` levels (all D by default) of base payloads, (N, count) int32; raises CorruptCode, which counts
    the payloads from 1.

    Where all are asked for each payload must be exactly what `pack_base` writes for them. There is no checksum in it:
    damage can also give other valid levels, which the checksum that the archive keeps beside it tells.
    """
    lengths = np.fromiter((len(data) for data in payloads), dtype=np.int64, count=len(payloads))
    if (lengths > MAX_BASE_BYTES).any():
        place = f" {int(np.argmax(lengths > MAX_BASE_BYTES)) + 1} of {len(payloads)}" if len(payloads) > 1 else ""
        raise CorruptCode(f"The base layer{place} has {lengths.max()} bytes, above the format's {MAX_BASE_BYTES}.")
    wanted = len(tables) // trellis.turns if count is None else count
    return decode_rows(b"".join(payloads), np.cumsum(lengths), tables, trellis, wanted, "base layer")


def pack_enhancement(enhancement: Enhancement, indexes: IntArray, tables: EnhancementTables, base: bytes) -> bytes:
    """The enhancement payload; `indexes` names the table of each y, exactly as a reader will compute it.

    `base` is the base payload that it belongs to: the checksum covers it, so that no other face's base is taken for it.
    Raises CodecError where it cannot be coded.
    """
    header = _pack_header(enhancement.header)
    encoder = RangeEncoder()
    encoder.encode(enhancement.hyper, tables.hyper_indexes, tables.hyper)
    for turn in tables.turns:
        encoder.encode(enhancement.latent[:, turn], indexes[:, turn], tables.latent)
    crc = _checksum(base, header, enhancement.hyper, enhancement.latent)
    return _payload(header, crc, encoder.finish())


def read_header(data: bytes) -> EnhancementHeader:
    """The header of an enhancement payload, without decoding it; raises CorruptCode."""
    if not HEADER_BYTES <= len(data) <= MAX_ENHANCEMENT_BYTES:
        raise CorruptCode(f"The enhancement layer has {len(data)} bytes, which the format does not allow; {_AGAIN}.")
    version = data[0] >> 5
    if version > FILE_VERSION:
        raise CorruptCode(f"The enhancement layer has format version {version}: a newer streamproc is needed for it.")
    ranges = int.from_bytes(data[1:_RANGE_BYTES], "big")
    codec, head = ranges >> _HEAD_BITS & 3, ranges & (HEADS - 1)
    if version < SYMBOLS_VERSION or (version > SYMBOLS_VERSION) != (codec > 0) or (codec == 0 and head):
        raise CorruptCode(f"The enhancement layer's header is none that streamproc writes; {_AGAIN}.")
    low, high = (ranges >> 15) - 255, (ranges >> _SPARE_BITS & 511) - 255
    quality, share = data[0] & 15, NOTHING if data[0] & 16 else _SECOND_SHARES.get(CODECS[codec], ALL)
    if version >= THIRD_VERSION:
        shares = SHARES[CODECS[codec]] if version == FILE_VERSION else _THIRD_SHARES
        quality, share = data[0] & 7, shares[data[0] >> 3 & 3]
    try:
        return EnhancementHeader(quality, low, high, share, CODECS[codec], head)
    except CodecError as error:
        raise CorruptCode(f"The enhancement layer's header is damaged: {error} Code the face again.") from error


def unpack_enhancement(
    data: bytes, tables: EnhancementTables, indexes_of: Callable[[IntArray, IntArray | None], IntArray], base: bytes
) -> Enhancement:
    """The header and symbols of an enhancement payload; raises CorruptCode unless all of it is as it was written.

    `indexes_of` computes the table index of each y, in y's shape, from z and, after the first turn, from y as far as it
    has been read (zeros elsewhere); `base` is the base payload beside it.
    """
    header = read_header(data)
    if header.codec != "learned":
        raise CorruptCode(f"The enhancement layer was written by codec '{header.codec}', not by the learned one.")
    decoder = RangeDecoder(data[HEADER_BYTES:], "enhancement layer")
    hyper = decoder.decode(tables.hyper_indexes, tables.hyper)
    indexes = indexes_of(hyper, None)
    latent = np.zeros_like(indexes)
    for n, turn in enumerate(tables.turns):
        if n:
            indexes = indexes_of(hyper, latent)
        latent[:, turn] = decoder.decode(indexes[:, turn], tables.latent)
    decoder.finish()
    stated = int.from_bytes(data[_RANGE_BYTES:HEADER_BYTES], "big")
    if stated != _checksum(base, data[:_RANGE_BYTES], hyper, latent):
        raise CorruptCode(f"The enhancement layer's checksum does not match it and its base layer; {_AGAIN}.")
    return Enhancement(header, hyper, latent)


def pack_file(file: PictureFile, base: bytes) -> bytes:
    """The enhancement payload of a conventional codec's file; `base` is the base payload that it belongs to.

    Raises CodecError where it is too long.
    """
    header = _pack_header(file.header)
    return _payload(header, _file_checksum(base, header, file.data), file.data)


def unpack_file(data: bytes, base: bytes) -> PictureFile:
    """What `pack_file` wrote; raises CorruptCode unless all of it is as it was written."""
    header = read_header(data)
    if header.codec == "learned":
        raise CorruptCode("The enhancement layer was written by the learned codec, not by a conventional one.")
    stated = int.from_bytes(data[_RANGE_BYTES:HEADER_BYTES], "big")
    if stated != _file_checksum(base, data[:_RANGE_BYTES], data[HEADER_BYTES:]):
        raise CorruptCode(f"The enhancement layer's checksum does not match it and its base layer; {_AGAIN}.")
    return PictureFile(header, data[HEADER_BYTES:])


def _pack_header(header: EnhancementHeader) -> bytes:
    codec = CODECS.index(header.codec)
    if header.share not in SHARES[header.codec]:
        raise CodecError(f"Codec '{header.codec}' no longer takes {header.share} of a base picture off.")
    if codec:
        first = FILE_VERSION << 5 | SHARES[header.codec].index(header.share) << 3 | header.quality
    else:
        first = SYMBOLS_VERSION << 5 | int(header.share == NOTHING) << 4 | header.quality
    ranges = (header.low + 255) << 15 | (header.high + 255) << _SPARE_BITS | codec << _HEAD_BITS | header.head
    return bytes([first]) + ranges.to_bytes(_RANGE_BYTES - 1, "big")


def _payload(header: bytes, crc: int, body: bytes) -> bytes:
    """The parts of an enhancement in their order; raises CodecError where they are too long."""
    data = header + crc.to_bytes(_CRC_BYTES, "big") + body
    if len(data) > MAX_ENHANCEMENT_BYTES:
        raise CodecError(f"This enhancement takes {len(data)} bytes, above the format's {MAX_ENHANCEMENT_BYTES}.")
    return data


def _checksum(base: bytes, header: bytes, hyper: IntArray, latent: IntArray) -> int:
    crc = zlib.crc32(header, zlib.crc32(base))
    for symbols in (hyper, latent):
        crc = zlib.crc32(symbols.astype("<i2").tobytes(), crc)
    return (crc ^ crc >> 16) & 0xFFFF


def _file_checksum(base: bytes, header: bytes, file: bytes) -> int:
    """Finds every one or two flipped bits within 4 kB, which nothing else would where the file still decodes."""
    return binascii.crc_hqx(header + file, binascii.crc_hqx(base, 0xFFFF))
