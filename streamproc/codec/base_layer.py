"""The base layer: crops and raw features to some 40 bytes, and back to features and small pictures."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from streamproc.codec.bitstream import pack_base, unpack_bases
from streamproc.codec.code_tables import TOTAL_BITS, CodeTables, IntArray
from streamproc.codec.weights import CodecWeights
from streamproc.inference import Net, NetInput
from streamproc.types import CROP_SIZE, Array, FloatArray, Image

MAX_BYTES = 48
"""No base layer is longer: an unusual face gives up its dearest details instead, of appearance where it is split."""
BATCH = 32


class BaseLayer:
    """Codes identity (128-d feature) and appearance of a face into one payload, identity first; without appearance
    latents the feature says everything."""

    def __init__(self, weights: CodecWeights, device: str) -> None:
        """Reads the tables; the nets are loaded when they are first needed, for search needs one of the three."""
        self.identity_latents = weights.shape.identity_latents
        self._split = weights.shape.split
        self.tables = CodeTables.from_arrays(weights.tensors, "base_tables")
        self._weights, self._device = weights, device
        self._costs, self._cheapest = _symbol_costs(self.tables)

    @cached_property
    def _analysis(self) -> Net:
        crops = NetInput((2, CROP_SIZE, CROP_SIZE, 3))
        features = NetInput((2, self._weights.shape.identity), dtype="float32")
        if self._split:
            return self._weights.net("BaseAnalysis", [crops, features], self._device)
        return self._weights.net("IdentityAnalysis", [features], self._device)

    @cached_property
    def _identity(self) -> Net:
        symbols = NetInput((2, self.identity_latents), dtype="float32")
        return self._weights.net("IdentitySynthesis", [symbols], self._device)

    @cached_property
    def _synthesis(self) -> Net:
        name = "BaseSynthesis" if self._split else "IdentityPicture"
        return self._weights.net(name, [NetInput((2, len(self.tables)), dtype="float32")], self._device)

    def encode(self, crops: Image, features: FloatArray) -> list[bytes]:
        """Payloads of crops (N, 256, 256, 3) uint8 and their raw features (N, 128)."""
        payloads: list[bytes] = []
        for i in range(0, len(crops), BATCH):
            part = slice(i, i + BATCH)
            (latents,) = self._analysis(*([crops[part]] if self._split else []), features[part])
            payloads += [self._pack(row) for row in np.rint(latents).astype(np.int32)]
        return payloads

    def _pack(self, symbols: IntArray) -> bytes:
        """The payload, kept within MAX_BYTES by giving the dearest symbols, of appearance where there are any, their
        most probable values."""
        data = pack_base(symbols, self.tables)
        if len(data) <= MAX_BYTES:
            return data
        symbols = symbols.copy()
        rows = np.arange(len(symbols))
        cost = self._costs[rows, symbols - self.tables.offsets]
        if self._split:
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

    def features(self, payloads: Sequence[bytes]) -> FloatArray:
        """(N, 128) float32 unit-norm features: only the identity's symbols are decoded. Raises CorruptCode."""
        symbols = self.symbols(payloads, self.identity_latents)
        features: FloatArray = self._identity(symbols.astype(np.float32))[0]
        return features

    def pictures(self, payloads: Sequence[bytes]) -> Image:
        """(N, 256, 256, 3) uint8 pictures of whole payloads; raises CorruptCode."""
        symbols = self.symbols(payloads).astype(np.float32)
        parts = [self._synthesis(symbols[i : i + BATCH])[0] for i in range(0, len(symbols), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, CROP_SIZE, CROP_SIZE, 3), np.uint8)


def _symbol_costs(tables: CodeTables) -> tuple[Array, IntArray]:
    """(D, L) bits of each symbol of each table (infinite beyond a table), and (D,) the most probable value of each."""
    counts = np.diff(tables.cdf, axis=1)
    with np.errstate(divide="ignore"):
        costs = TOTAL_BITS - np.log2(counts)
    return costs, (counts.argmax(axis=1) + tables.offsets).astype(np.int32)
