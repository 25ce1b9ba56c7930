"""The enhancement layer by a conventional codec (Eq. 5): a picture file of what the base layer's picture leaves over.

For the paper's comparison, and for a camera whose machine is too slow for the learned one.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from streamproc.codec.bitstream import (
    COARSE,
    SHARES,
    EnhancementHeader,
    PictureFile,
    Share,
    pack_file,
    unpack_file,
)
from streamproc.codec.file_heads import Detached, attached, detached
from streamproc.codec.ms_ssim import decibels, ms_ssim
from streamproc.codec.picture_files import Hevc, Jpeg, Jpeg2000, PictureCoder
from streamproc.types import EnhancementCodec, FloatArray, Image

WORTH: dict[EnhancementCodec, float] = {"jpeg": 10.0, "jpeg2000": 7.0, "hevc": 5.3}
"""dB that e times the bytes bring at these rates, by which the shares of the base picture are weighed against each
other. Measured in docs/decisions.md."""

RATE_POINTS: dict[EnhancementCodec, tuple[PictureCoder, ...]] = {
    "jpeg": tuple(Jpeg(quality) for quality in (3, 5, 7, 10, 13)),
    "jpeg2000": tuple(Jpeg2000(level) for level in (33, 34.5, 36, 37, 38)),
    "hevc": tuple(Hevc(qp) for qp in (40, 38, 36, 33, 30)),
}
"""About the learned codec's rates, 0.09 to 0.22 bits a pixel with the base layer, on held-out training faces."""


class ConventionalLayer:
    """Codes what is left of a crop without a share of its base picture, stretched to 0..255, as a picture.

    Which share is tried for each crop.
    """

    def __init__(self, coders: Sequence[PictureCoder]) -> None:
        """`coders` are the rate points, lowest rate first, at most 8."""
        self._coders = tuple(coders)
        self.qualities = tuple(range(len(self._coders)))

    def encode(self, crops: Image, shown: Image, bases: Sequence[bytes], quality: int) -> list[bytes]:
        """Payloads of crops (N, 256, 256, 3) uint8 whose base layers `bases` show the pictures `shown`."""
        return [
            pack_file(self._best(crop, picture, quality), base)
            for crop, picture, base in zip(crops, shown, bases, strict=True)
        ]

    def _best(self, crop: Image, shown: Image, quality: int) -> PictureFile:
        codec = self._coders[quality].codec
        taken = {share: _taken(shown, share) for share in SHARES[codec]}
        files = [self._coded(crop, under, quality, share) for share, under in taken.items()]
        lengths = np.array([len(file.data) for file in files])
        gains = _decibels(crop, np.stack([_picture(file, taken[file.header.share]) for file in files]), codec)
        return files[int(np.argmax(gains - WORTH[codec] * np.log(lengths)))]

    def _coded(self, crop: Image, under: FloatArray, quality: int, share: Share) -> PictureFile:
        coder = self._coders[quality]
        residual = crop - under
        low, high = int(np.floor(residual.min())), int(np.ceil(residual.max()))
        file = coder.encode(np.rint((residual - low) * np.float32(255 / max(high - low, 1))).astype(np.uint8))
        stored = detached(coder.codec, file, coder.own(file))
        return PictureFile(EnhancementHeader(quality, low, high, share, coder.codec, stored.head), stored.data)


def _decibels(crop: Image, pictures: Image, codec: EnhancementCodec) -> npt.NDArray[np.float64]:
    """(N,) how like the crop pictures (N, 256, 256, 3) of it are: PSNR, of HEVC the mean of PSNR and MS-SSIM in dB."""
    errors = np.array([cv2.PSNR(crop, picture) for picture in pictures])
    if codec != "hevc":
        return errors
    likenesses = [decibels(value) for value in ms_ssim(np.stack([crop] * len(pictures)), pictures)]
    return (errors + likenesses) / 2


def decode_files(payloads: Sequence[bytes], shown: Image, bases: Sequence[bytes]) -> Image:
    """(N, 256, 256, 3) uint8 pictures of payloads that conventional codecs wrote, over their base pictures; raises
    CorruptCode."""
    pictures = np.empty_like(shown)
    for n, (payload, base) in enumerate(zip(payloads, bases, strict=True)):
        file = unpack_file(payload, base)
        pictures[n] = _picture(file, _taken(shown[n], file.header.share))
    return pictures


def whole_file(file: PictureFile) -> bytes:
    """The picture file with its head put back: any decoder reads it. Raises CorruptCode."""
    return attached(file.header.codec, Detached(file.header.head, file.data))


def _picture(file: PictureFile, under: FloatArray) -> Image:
    header = file.header
    scaled = RATE_POINTS[header.codec][0].decode(whole_file(file))
    residual = scaled * np.float32((header.high - header.low) / 255) + header.low
    picture: Image = np.rint(under + residual).clip(0, 255).astype(np.uint8)
    return picture


def _taken(shown: Image, share: Share) -> FloatArray:
    """(256, 256, 3) float32: that share of a base picture."""
    taken: FloatArray = shown * np.float32(share.fine)
    if share.coarse != share.fine:
        taken += np.float32(share.coarse - share.fine) * cv2.GaussianBlur(shown.astype(np.float32), (0, 0), COARSE)
    return taken
