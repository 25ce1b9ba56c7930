"""The enhancement layer (Eqs. 5-6): what the base layer's picture leaves over.

The base layer helps twice: its picture is subtracted, and its symbols tell the hyper-decoder what to expect.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from streamproc.codec.bitstream import (
    Enhancement,
    EnhancementHeader,
    EnhancementTables,
    pack_enhancement,
    unpack_bases,
    unpack_enhancement,
)
from streamproc.codec.code_tables import VALUE_MAX, VALUE_MIN, CodeTables, IntArray
from streamproc.codec.integer_net import ACTIVATION_BITS, IntegerHyperDecoder, LatentModel
from streamproc.codec.networks import ResidualNet
from streamproc.codec.weights import CodecWeights
from streamproc.errors import CorruptCode
from streamproc.types import CROP_SIZE

HYPER_STRIDE = 64
BATCH = 8
MEAN_UNITS = float(1 << ACTIVATION_BITS)


class EnhancementLayer:
    """Codes the difference of a crop and its base picture, scaled to its own minimum and maximum."""

    def __init__(self, weights: CodecWeights, device: torch.device) -> None:
        shape = weights.shape
        self.device, self.qualities = device, tuple(range(shape.qualities))
        arrays = {name: tensor.numpy() for name, tensor in weights.tensors.items()}
        side = CROP_SIZE // HYPER_STRIDE
        channels = np.arange(shape.channels, dtype=np.int32)
        self.tables = EnhancementTables(
            CodeTables.from_arrays(arrays, "hyper_tables"),
            np.broadcast_to(channels[:, None, None], (shape.channels, side, side)).copy(),
            CodeTables.from_arrays(arrays, "latent_tables"),
        )
        self._net = ResidualNet(shape.channels, shape.residual_latents, shape.qualities)
        weights.fill(self._net, "residual").to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._base_tables = CodeTables.from_arrays(arrays, "base_tables")
        self._hyper = IntegerHyperDecoder(
            shape.channels, shape.residual_latents, len(self.tables.latent), len(self._base_tables), side
        )
        weights.fill(self._hyper, "hyper_decoder").to(device)

    @torch.inference_mode()
    def encode(self, crops: Tensor, shown: Tensor, bases: Sequence[bytes], quality: int) -> list[bytes]:
        """Payloads of crops (N, 3, 256, 256) uint8 whose base layers `bases` show the pictures `shown`."""
        payloads: list[bytes] = []
        for i in range(0, len(crops), BATCH):
            part = slice(i, i + BATCH)
            payloads += self._encode(crops[part].to(self.device), shown[part].to(self.device), bases[part], quality)
        return payloads

    def _encode(self, crops: Tensor, shown: Tensor, bases: Sequence[bytes], quality: int) -> list[bytes]:
        residual = crops.float() - shown.float()
        # A base picture that is further from the face than plain grey would cost bits: then the face is coded alone.
        alone = residual.abs().mean(dim=(1, 2, 3)) > (crops.float() - 128).abs().mean(dim=(1, 2, 3))
        residual = torch.where(alone[:, None, None, None], crops.float(), residual)
        low, high = residual.amin(dim=(1, 2, 3)), residual.amax(dim=(1, 2, 3))
        span = (high - low).clamp(min=1)[:, None, None, None]
        rate = torch.full((len(crops),), quality, dtype=torch.int64, device=self.device)
        latent = self._net.latent((residual - low[:, None, None, None]) / span, rate)
        hyper = _symbols(self._net.hyper_analysis(latent))
        model = self._model(hyper, bases)
        whole, indexes = _symbols(latent.cpu() - model.means / MEAN_UNITS), model.indexes.numpy()
        payloads = []
        for n in range(len(crops)):
            header = EnhancementHeader(quality, int(low[n]), int(high[n]), bool(alone[n]))
            payloads.append(
                pack_enhancement(Enhancement(header, hyper[n], whole[n]), indexes[n], self.tables, bases[n])
            )
        return payloads

    @torch.inference_mode()
    def decode(self, payloads: Sequence[bytes], shown: Tensor, bases: Sequence[bytes]) -> Tensor:
        """(N, 3, 256, 256) uint8 pictures of payloads over their base pictures; raises CorruptCode."""
        pictures = []
        for i in range(0, len(payloads), BATCH):
            part = slice(i, i + BATCH)
            pictures.append(self._decode(payloads[part], shown[part], bases[part]))
        return torch.cat(pictures) if pictures else shown

    def symbols(self, payload: bytes, base: bytes) -> Enhancement:
        """The header and symbols of one payload; raises CorruptCode."""
        return self._read(payload, base)[0]

    def _read(self, payload: bytes, base: bytes) -> tuple[Enhancement, Tensor]:
        """The header and symbols of one payload, and (latents, 16, 16) int32 means to add to the latent's."""
        means: list[Tensor] = []

        def indexes(hyper: IntArray) -> IntArray:
            model = self._model(hyper[None], [base])
            means.append(model.means[0])
            found: IntArray = model.indexes[0].numpy()
            return found

        found = unpack_enhancement(payload, self.tables, indexes, base)
        if found.header.quality not in self.qualities:
            raise CorruptCode(f"the enhancement layer has rate point {found.header.quality}, which this codec lacks")
        return found, means[0]

    def _decode(self, payloads: Sequence[bytes], shown: Tensor, bases: Sequence[bytes]) -> Tensor:
        read = [self._read(data, base) for data, base in zip(payloads, bases, strict=True)]
        found = [enhancement for enhancement, _ in read]
        headers = [enhancement.header for enhancement in found]
        whole = torch.from_numpy(np.stack([enhancement.latent for enhancement in found]))
        latent = (whole + torch.stack([means for _, means in read]) / MEAN_UNITS).to(self.device)
        quality = torch.tensor([header.quality for header in headers], device=self.device)
        low = torch.tensor([float(header.low) for header in headers], device=self.device)[:, None, None, None]
        high = torch.tensor([float(header.high) for header in headers], device=self.device)[:, None, None, None]
        alone = torch.tensor([header.standalone for header in headers], device=self.device)[:, None, None, None]
        residual = low + self._net.picture(latent, quality).clamp(0, 1) * (high - low)
        under = shown.to(self.device).float().masked_fill(alone, 0)
        return (under + residual).round().clamp(0, 255).to(torch.uint8)

    def indexes(self, hyper: IntArray, bases: Sequence[bytes]) -> IntArray:
        """(N, latents, 16, 16) int32 tables of the latents, from hyper-latents (N, channels, 4, 4) and bases."""
        indexes: IntArray = self._model(hyper, bases).indexes.numpy()
        return indexes

    def _model(self, hyper: IntArray, bases: Sequence[bytes]) -> LatentModel:
        """What hyper-latents and base payloads say about the latents, on the CPU."""
        symbols = torch.from_numpy(unpack_bases(bases, self._base_tables))
        model = self._hyper(torch.from_numpy(hyper).to(self.device), symbols.to(self.device))
        return LatentModel(model.indexes.cpu(), model.means.cpu())


def _symbols(values: Tensor) -> IntArray:
    """`values` rounded to int32 within 16 bits."""
    whole: IntArray = values.round().clamp(VALUE_MIN, VALUE_MAX).to(torch.int32).cpu().numpy()
    return whole
