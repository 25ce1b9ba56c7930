"""The enhancement layer by a conventional codec (Eq. 5): a picture file of what the base layer's picture leaves over.

For the paper's comparison, and for a camera whose machine is too slow for the learned one.
"""

from collections.abc import Sequence

import numpy as np

from streamproc.codec.bitstream import EnhancementHeader, PictureFile, pack_file, unpack_file
from streamproc.codec.enhancement_layer import base_hurts
from streamproc.codec.file_heads import Detached, attached, detached
from streamproc.codec.picture_files import Hevc, Jpeg, Jpeg2000, PictureCoder
from streamproc.types import EnhancementCodec, FloatArray, Image

STRENGTHS: dict[EnhancementCodec, float] = {"jpeg": 1.0, "jpeg2000": 1.0, "hevc": 0.7}
"""How much of the base picture is subtracted: a part of the format. HEVC predicts within a picture itself: what a soft
picture gets right it finds cheaply, what it gets wrong it must code. Measured in docs/decisions.md."""

RATE_POINTS: dict[EnhancementCodec, tuple[PictureCoder, ...]] = {
    "jpeg": tuple(Jpeg(quality) for quality in (3, 5, 7, 10, 13)),
    "jpeg2000": tuple(Jpeg2000(level) for level in (33, 34.5, 36, 37, 38)),
    "hevc": tuple(Hevc(qp) for qp in (40, 38, 36, 33, 30)),
}
"""About the learned codec's rates, 0.09 to 0.22 bits a pixel with the base layer, on held-out training faces."""


class ConventionalLayer:
    """Codes the difference of a crop and its weakened base picture, stretched to 0..255, as a picture."""

    def __init__(self, coders: Sequence[PictureCoder]) -> None:
        """`coders` are the rate points, lowest rate first, at most 16."""
        self._coders = tuple(coders)
        self.qualities = tuple(range(len(self._coders)))

    def encode(self, crops: Image, shown: Image, bases: Sequence[bytes], quality: int) -> list[bytes]:
        """Payloads of crops (N, 256, 256, 3) uint8 whose base layers `bases` show the pictures `shown`."""
        coder = self._coders[quality]
        payloads = []
        for crop, under, base, alone in zip(crops, shown, bases, base_hurts(crops, shown).tolist(), strict=True):
            scaled, low, high = _stretched(crop - _subtracted(under, coder.codec, alone))
            file = coder.encode(scaled)
            stored = detached(coder.codec, file, coder.own(file))
            header = EnhancementHeader(quality, low, high, alone, coder.codec, stored.head)
            payloads.append(pack_file(PictureFile(header, stored.data), base))
        return payloads


def decode_files(payloads: Sequence[bytes], shown: Image, bases: Sequence[bytes]) -> Image:
    """(N, 256, 256, 3) uint8 pictures of payloads that conventional codecs wrote, over their base pictures; raises
    CorruptCode."""
    pictures = np.empty_like(shown)
    for n, (payload, base) in enumerate(zip(payloads, bases, strict=True)):
        file = unpack_file(payload, base)
        header = file.header
        scaled = RATE_POINTS[header.codec][0].decode(whole_file(file))
        residual = scaled * np.float32((header.high - header.low) / 255) + header.low
        pictures[n] = np.rint(_subtracted(shown[n], header.codec, header.standalone) + residual).clip(0, 255)
    return pictures


def whole_file(file: PictureFile) -> bytes:
    """The picture file with its head put back: any decoder reads it. Raises CorruptCode."""
    return attached(file.header.codec, Detached(file.header.head, file.data))


def _subtracted(shown: Image, codec: EnhancementCodec, alone: bool) -> FloatArray:
    """(256, 256, 3) float32: what is taken off the crop before it is coded, and put back behind."""
    return shown * np.float32(0 if alone else STRENGTHS[codec])


def _stretched(residual: FloatArray) -> tuple[Image, int, int]:
    """(picture, low, high): the residual with its range stretched to 0..255, and that range in whole pixel values."""
    low, high = int(np.floor(residual.min())), int(np.ceil(residual.max()))
    scaled: Image = np.rint((residual - low) * np.float32(255 / max(high - low, 1))).astype(np.uint8)
    return scaled, low, high
