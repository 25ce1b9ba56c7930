"""All ways to code a face's picture that are compared: ours, its parts, the conventional codecs alone and over our
base picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch

from streamproc.codec.bitstream import HEADER_BYTES, unpack_file
from streamproc.codec.conventional_layer import ConventionalLayer, decode_files, whole_file
from streamproc.codec.enhancement_layer import EnhancementLayer
from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.picture_files import PictureCoder
from streamproc.codec.weights import load_weights
from streamproc.evaluation.feature_coders import SymbolCoder, step_for
from streamproc.types import CROP_SIZE, Array, Image

COMPONENT_SIZE = 64
"""The side, pixels, at which principal components are taken where only one is measured."""
COMPONENTS = 0.5
"""Principal components for each bit, about the best number: in 330 bits 130 and 200 show held-out faces 0.05 dB worse
than 160 (once by hand)."""


@dataclass(frozen=True, slots=True, eq=False)
class CodedPictures:
    """Decoded pictures (N, 256, 256, 3) uint8, and (N,) bytes: in all with whole files, and those of a conventional
    file's header, which an archive keeps once for all crops."""

    pictures: Image
    bytes: npt.NDArray[np.float64]
    headers: npt.NDArray[np.float64]


class PictureMethod(Protocol):
    """Codes crops (N, 256, 256, 3) uint8 and decodes them again."""

    def code(self, crops: Image) -> CodedPictures:
        """What came out, and what it took."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Ours:
    """Our codec at a rate point, or its base layer alone (None)."""

    codec: FaceCodec
    quality: int | None

    def code(self, crops: Image) -> CodedPictures:
        """Through the codec's door."""
        codes = self.codec.encode(crops, self.quality)
        pictures = self.codec.reconstruct([c.base for c in codes], [c.enhancement for c in codes])
        return _counted(pictures, [c.base + (c.enhancement or b"") for c in codes])


@dataclass(frozen=True, slots=True, eq=False)
class HyperpriorAlone:
    """The enhancement's net trained on faces instead of residuals, at a rate point, without a base layer."""

    layer: EnhancementLayer
    quality: int

    @classmethod
    def load(cls, path: Path) -> list["HyperpriorAlone"]:
        """The net of a weights file at each of its rate points; raises WeightsError."""
        layer = EnhancementLayer(load_weights(str(path)), "cpu")
        return [cls(layer, quality) for quality in layer.qualities]

    def code(self, crops: Image) -> CodedPictures:
        """As an enhancement over a black picture."""
        nothing, bases = np.zeros_like(crops), [b""] * len(crops)
        payloads = self.layer.encode(crops, nothing, bases, self.quality)
        return _counted(self.layer.decode(payloads, nothing, bases), payloads)


@dataclass(frozen=True, slots=True)
class Conventional:
    """A conventional codec on the picture itself."""

    coder: PictureCoder

    def code(self, crops: Image) -> CodedPictures:
        """A file a picture."""
        files = [self.coder.encode(crop) for crop in crops]
        headers = [_header_bytes(self.coder, data) for data in files]
        return _counted(np.stack([self.coder.decode(data) for data in files]), files, headers)


class BasePictures:
    """What base layers show, remembered for the crops last asked for: many codecs are tried over the same."""

    def __init__(self, codec: FaceCodec) -> None:
        self._codec = codec
        self._crops: Image | None = None

    def of(self, crops: Image) -> tuple[list[bytes], Image]:
        """(base payloads, their pictures) of crops."""
        if crops is not self._crops:
            self._bases = [code.base for code in self._codec.encode(crops, None)]
            self._shown = self._codec.reconstruct(self._bases)
            self._crops = crops
        return self._bases, self._shown


@dataclass(frozen=True, slots=True, eq=False)
class OverBase:
    """A conventional codec as our enhancement layer (Eq. 5), at one setting."""

    coder: PictureCoder
    base: BasePictures

    def code(self, crops: Image) -> CodedPictures:
        """Base layer, enhancement's header and whole file, for each picture."""
        bases, shown = self.base.of(crops)
        payloads = ConventionalLayer([self.coder]).encode(crops, shown, bases, 0)
        files = [whole_file(unpack_file(payload, base)) for payload, base in zip(payloads, bases, strict=True)]
        headers = [_header_bytes(self.coder, data) for data in files]
        counted = [base + bytes(HEADER_BYTES) + data for base, data in zip(bases, files, strict=True)]
        return _counted(decode_files(payloads, shown, bases), counted, headers)


class PrincipalComponents:
    """Principal components of the training faces at `size` x `size`, quantised with the one step that makes the
    payloads of the pictures in hand `bits` long in the mean: the bar under which a learned base layer is not worth its
    nets. Faces to take them of count: 8,000 bring 0.2 dB over 2,000 (held-out faces, once by hand)."""

    def __init__(self, training: Image, size: int, bits: float) -> None:
        """Components and tables from training crops (N, 256, 256, 3)."""
        self._size, self._bits = size, bits
        small = self._shrunk(training)
        self._mean = small.mean(axis=0)
        torch.manual_seed(0)
        count = min(round(bits * COMPONENTS), len(training) - 1)
        basis = torch.svd_lowrank(torch.from_numpy(small - self._mean), count, niter=4)[2]
        self._basis = basis.numpy().astype(np.float64)
        self._moved = self._analyse(small)

    def code(self, crops: Image) -> CodedPictures:
        """Through the quantised components."""
        moved = self._analyse(self._shrunk(crops))

        def coded(step: float) -> list[bytes]:
            return SymbolCoder(_levels(self._moved, step)).encode(_levels(moved, step))

        step = step_for(self._bits, lambda step: 8 * float(np.mean([len(one) for one in coded(step)])), 1e-2, 1e2)
        small = (_levels(moved, step) * step @ self._basis.T + self._mean).reshape(-1, self._size, self._size, 3)
        return _counted(np.stack([_enlarged(one) for one in small]), coded(step))

    def _shrunk(self, crops: Image) -> Array:
        """(N, size * size * 3) float32 in 0..1."""
        sides = (self._size, self._size)
        small = [cv2.resize(crop, sides, interpolation=cv2.INTER_AREA).reshape(-1) for crop in crops]
        shrunk: Array = np.stack(small).astype(np.float32) / np.float32(255)
        return shrunk

    def _analyse(self, small: Array) -> npt.NDArray[np.float64]:
        moved: npt.NDArray[np.float64] = (small - self._mean).astype(np.float64) @ self._basis
        return moved


def _enlarged(small: npt.NDArray[np.float64]) -> Image:
    """A crop (256, 256, 3) uint8 of a small picture in 0..1."""
    large = cv2.resize(small.astype(np.float32), (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC)
    crop: Image = np.clip(np.rint(large * 255), 0, 255).astype(np.uint8)
    return crop


def _levels(moved: npt.NDArray[np.float64], step: float) -> npt.NDArray[np.int32]:
    whole: npt.NDArray[np.int32] = np.rint(moved / step).astype(np.int32)
    return whole


def _header_bytes(coder: PictureCoder, data: bytes) -> int:
    return len(data) - len(data[coder.own(data)])


def _counted(pictures: Image, payloads: list[bytes], headers: list[int] | None = None) -> CodedPictures:
    sizes = np.array([len(data) for data in payloads], np.float64)
    return CodedPictures(pictures, sizes, np.array(headers or [0] * len(payloads), np.float64))
