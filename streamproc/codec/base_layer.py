"""The base layer: crops and raw features to some 40 bytes, and back to features and small pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from streamproc.codec.bitstream import pack_base, unpack_bases
from streamproc.codec.code_tables import TOTAL_BITS, CodeTables, IntArray
from streamproc.codec.networks import PICTURE_SIDE, AppearanceNet, FeatureCoder, TextureNet
from streamproc.codec.weights import CodecWeights
from streamproc.types import Array

MAX_BYTES = 48
"""No base layer is longer: an unusual face gives up its dearest details of appearance instead."""
BATCH = 32


class BaseLayer:
    """Codes identity (128-d feature) and appearance of a face into one payload, identity first."""

    def __init__(self, weights: CodecWeights, device: torch.device) -> None:
        shape = weights.shape
        self.device = device
        self.identity_latents = shape.identity_latents
        self.tables = CodeTables.from_arrays({n: t.numpy() for n, t in weights.tensors.items()}, "base_tables")
        self._identity = FeatureCoder(shape.identity, shape.identity_latents)
        self._appearance = AppearanceNet(shape.appearance_latents)
        self._texture = TextureNet(shape.identity, shape.appearance_latents)
        nets = (self._identity, self._appearance, self._texture)
        for prefix, net in zip(("identity", "appearance", "texture"), nets, strict=True):
            weights.fill(net, prefix).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._costs, self._cheapest = _symbol_costs(self.tables)

    @torch.inference_mode()
    def encode(self, crops: Tensor, features: Tensor) -> list[bytes]:
        """Payloads of crops (N, 3, 256, 256) in 0..1 and their raw features (N, 128)."""
        small = F.avg_pool2d(crops, crops.shape[-1] // PICTURE_SIDE)
        latents = [self._identity.analyse(features), self._appearance(small)]
        symbols = torch.cat(latents, dim=1).round().to(torch.int32).cpu().numpy()
        return [self._pack(row) for row in symbols]

    def _pack(self, symbols: IntArray) -> bytes:
        """The payload, kept within MAX_BYTES by giving the dearest appearance symbols their most probable values."""
        data = pack_base(symbols, self.tables)
        if len(data) <= MAX_BYTES:
            return data
        symbols = symbols.copy()
        rows = np.arange(len(symbols))
        cost = self._costs[rows, symbols - self.tables.offsets]
        cost[: self.identity_latents] = -np.inf
        for dimension in np.argsort(-cost, kind="stable"):
            symbols[dimension] = self._cheapest[dimension]
            data = pack_base(symbols, self.tables)
            if len(data) <= MAX_BYTES:
                break
        return data

    def symbols(self, payloads: Sequence[bytes], count: int | None = None) -> IntArray:
        """(N, count) int32 symbols; raises CorruptCode."""
        return unpack_bases(payloads, self.tables, count)

    @torch.inference_mode()
    def features(self, payloads: Sequence[bytes]) -> Tensor:
        """(N, 128) unit-norm features: only the identity's symbols are decoded."""
        symbols = self.symbols(payloads, self.identity_latents)
        return F.normalize(self._decoded_identity(symbols), dim=1)

    @torch.inference_mode()
    def pictures(self, payloads: Sequence[bytes]) -> Tensor:
        """(N, 3, 256, 256) uint8 pictures of whole payloads."""
        symbols = self.symbols(payloads)
        parts = [self._pictures(symbols[i : i + BATCH]) for i in range(0, len(symbols), BATCH)]
        return torch.cat(parts) if parts else torch.zeros((0, 3, 256, 256), dtype=torch.uint8)

    def _decoded_identity(self, symbols: IntArray) -> Tensor:
        return self._identity.synthesise(torch.from_numpy(symbols[:, : self.identity_latents]).float().to(self.device))

    def _pictures(self, symbols: IntArray) -> Tensor:
        appearance = torch.from_numpy(symbols[:, self.identity_latents :]).float().to(self.device)
        picture = self._texture(self._decoded_identity(symbols), appearance)[-1]
        return torch.round(picture.clamp(0, 1) * 255).to(torch.uint8)


def _symbol_costs(tables: CodeTables) -> tuple[Array, IntArray]:
    """(D, L) bits of each symbol of each table (infinite beyond a table), and (D,) the most probable value of each."""
    counts = np.diff(tables.cdf, axis=1)
    with np.errstate(divide="ignore"):
        costs = TOTAL_BITS - np.log2(counts)
    return costs, (counts.argmax(axis=1) + tables.offsets).astype(np.int32)
