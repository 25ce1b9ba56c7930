"""The enhancement layer (Eqs. 5-6): what the base layer's picture leaves over.

The base layer helps twice: its picture is subtracted, and its symbols tell the hyper-decoder what to expect. Codecs
with a context read the latent in two turns, the second of which the first foretells.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from streamproc.codec.base_code import BaseCode
from streamproc.codec.bitstream import (
    ALL,
    NOTHING,
    Enhancement,
    EnhancementHeader,
    EnhancementTables,
    pack_enhancement,
    unpack_enhancement,
)
from streamproc.codec.code_tables import VALUE_MAX, VALUE_MIN, CodeTables, IntArray
from streamproc.codec.integer_context import IntegerContext, first_half
from streamproc.codec.integer_layers import ACTIVATION_BITS
from streamproc.codec.integer_net import IntegerHyperDecoder, LatentModel
from streamproc.codec.shape import HYPER_STRIDE, LATENT_STRIDE
from streamproc.codec.weights import CodecWeights
from streamproc.errors import CorruptCode
from streamproc.inference import Net, NetInput
from streamproc.types import CROP_SIZE, Array, BoolArray, FloatArray, Image

BATCH = 8
MEAN_UNITS = np.float32(1 << ACTIVATION_BITS)


class EnhancementLayer:
    """Codes the difference of a crop and its base picture, scaled to its own minimum and maximum."""

    def __init__(self, weights: CodecWeights, device: str) -> None:
        shape = weights.shape
        self.qualities = tuple(range(shape.qualities))
        side = CROP_SIZE // HYPER_STRIDE
        channels = np.arange(shape.channels, dtype=np.int32)
        self._base = BaseCode.of(weights)
        self._hyper = IntegerHyperDecoder(weights.part("hyper_decoder"))
        context = weights.part("context")
        self._context = IntegerContext(context, self._hyper.thresholds) if context else None
        first = first_half(CROP_SIZE // LATENT_STRIDE)
        self.tables = EnhancementTables(
            CodeTables.from_arrays(weights.tensors, "hyper_tables"),
            np.broadcast_to(channels[:, None, None], (shape.channels, side, side)).copy(),
            CodeTables.from_arrays(weights.tensors, "latent_tables"),
            (first, ~first) if context else (np.ones_like(first),),
        )
        self._weights, self._device = weights, device

    @cached_property
    def _analysis(self) -> Net:
        residual = NetInput((2, CROP_SIZE, CROP_SIZE, 3), dtype="float32")
        inputs = [residual, NetInput((2,), dtype="int64")]
        return self._weights.net("ResidualAnalysis", inputs, self._device, bfloat16=True)

    @cached_property
    def _synthesis(self) -> Net:
        side = CROP_SIZE // LATENT_STRIDE
        latent = NetInput((2, self._weights.shape.residual_latents, side, side), dtype="float32")
        return self._weights.net("ResidualSynthesis", [latent, NetInput((2,), dtype="int64")], self._device)

    def encode(self, crops: Image, shown: Image, bases: Sequence[bytes], quality: int) -> list[bytes]:
        """Payloads of crops (N, 256, 256, 3) uint8 whose base layers `bases` show the pictures `shown`."""
        payloads: list[bytes] = []
        for i in range(0, len(crops), BATCH):
            part = slice(i, i + BATCH)
            payloads += self._encode(crops[part], shown[part], bases[part], quality)
        return payloads

    def _encode(self, crops: Image, shown: Image, bases: Sequence[bytes], quality: int) -> list[bytes]:
        whole = crops.astype(np.float32)
        residual = whole - shown
        alone = base_hurts(crops, shown)
        residual[alone] = whole[alone]
        low, high = residual.min(axis=(1, 2, 3)), residual.max(axis=(1, 2, 3))
        residual -= _each(low)
        residual /= _each(np.maximum(high - low, 1))
        latent, hyper = self._analysis(residual, np.full(len(crops), quality, np.int64))
        hyper = _symbols(hyper)
        model = self._model(hyper, bases)
        symbols = _symbols(latent - model.means / MEAN_UNITS)
        if self._context:
            model = self._context(model, symbols)
            symbols = _symbols(latent - model.means / MEAN_UNITS)
        payloads = []
        for n, base in enumerate(bases):
            header = EnhancementHeader(quality, int(low[n]), int(high[n]), NOTHING if alone[n] else ALL)
            enhancement = Enhancement(header, hyper[n], symbols[n])
            payloads.append(pack_enhancement(enhancement, model.indexes[n], self.tables, base))
        return payloads

    def decode(self, payloads: Sequence[bytes], shown: Image, bases: Sequence[bytes]) -> Image:
        """(N, 256, 256, 3) uint8 pictures of payloads over their base pictures; raises CorruptCode."""
        pictures = []
        for i in range(0, len(payloads), BATCH):
            part = slice(i, i + BATCH)
            pictures.append(self._decode(payloads[part], shown[part], bases[part]))
        return np.concatenate(pictures) if pictures else shown

    def symbols(self, payload: bytes, base: bytes) -> Enhancement:
        """The header and symbols of one payload; raises CorruptCode."""
        return self._read(payload, base)[0]

    def _read(self, payload: bytes, base: bytes) -> tuple[Enhancement, IntArray]:
        """The header and symbols of one payload, and (latents, 16, 16) int32 means to add to the latent's."""
        model: LatentModel | None = None

        def indexes(hyper: IntArray, latent: IntArray | None) -> IntArray:
            nonlocal model
            if self._context and model and latent is not None:
                model = self._context(model, latent[None])
            else:
                model = self._model(hyper[None], [base])
            found: IntArray = model.indexes[0]
            return found

        found = unpack_enhancement(payload, self.tables, indexes, base)
        assert model is not None
        if found.header.quality not in self.qualities:
            raise CorruptCode(f"the enhancement layer has rate point {found.header.quality}, which this codec lacks")
        return found, model.means[0]

    def _decode(self, payloads: Sequence[bytes], shown: Image, bases: Sequence[bytes]) -> Image:
        read = [self._read(data, base) for data, base in zip(payloads, bases, strict=True)]
        headers = [enhancement.header for enhancement, _ in read]
        latent = np.stack([enhancement.latent + means / MEAN_UNITS for enhancement, means in read])
        quality = np.array([header.quality for header in headers], np.int64)
        (residual,) = self._synthesis(latent.astype(np.float32), quality)
        low, high = (np.array([getattr(header, end) for header in headers], np.float32) for end in ("low", "high"))
        under = shown.astype(np.float32)
        under[[header.share == NOTHING for header in headers]] = 0
        picture = under + _each(low) + residual * _each(high - low)
        pixels: Image = np.rint(picture).clip(0, 255).astype(np.uint8)
        return pixels

    def indexes(self, found: Sequence[Enhancement], bases: Sequence[bytes]) -> IntArray:
        """(N, latents, 16, 16) int32 tables of the latents of decoded enhancements over their bases."""
        model = self._model(np.stack([one.hyper for one in found]), bases)
        if self._context:
            model = self._context(model, np.stack([one.latent for one in found]))
        return model.indexes

    def _model(self, hyper: IntArray, bases: Sequence[bytes]) -> LatentModel:
        """What hyper-latents and base payloads say about the latents."""
        return self._hyper(hyper, self._base.multiples(bases))


def base_hurts(crops: Image, shown: Image) -> BoolArray:
    """(N,) True for crops (N, 256, 256, 3) uint8 to be coded alone: the base picture is further from the face than
    plain grey, and subtracting it would cost bits."""
    whole = crops.astype(np.float32)
    hurts: BoolArray = np.abs(whole - shown).mean(axis=(1, 2, 3)) > np.abs(whole - 128).mean(axis=(1, 2, 3))
    return hurts


def _each(values: FloatArray) -> FloatArray:
    """(N, 1, 1, 1) of (N,)."""
    return values[:, None, None, None]


def _symbols(values: Array) -> IntArray:
    """`values` rounded to int32 within 16 bits."""
    whole: IntArray = np.rint(values).clip(VALUE_MIN, VALUE_MAX).astype(np.int32)
    return whole
