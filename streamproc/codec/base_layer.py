"""The base layer: crops and raw features to some 40 bytes, and back to features and small pictures."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from streamproc.codec.base_code import BaseCode, latent_prices
from streamproc.codec.trellis import level_costs
from streamproc.codec.weights import CodecWeights
from streamproc.inference import Net, NetInput
from streamproc.types import CROP_SIZE, FloatArray, Image

MAX_BYTES = 48
"""No base layer is longer: of an unusual face bits are made dearer, and it gives up the details that are worth least
for theirs; of appearance alone where there is one."""
DEARER = 0.05 * 1.4 ** np.arange(40)
"""Prices that are tried then, squared error of a latent that a bit must save."""
BATCH = 32
FACES = 4**2
"""Faces that are analysed in one go: a sixth quicker than four, for the refinement's weights are many."""
FEATURES = 4**5
"""Features that are decoded in one go: their net is so small that a call costs as much as many of them."""


class BaseLayer:
    """Codes identity (128-d feature) and appearance of a face into one payload, identity first; without appearance
    latents the feature says everything."""

    def __init__(self, weights: CodecWeights, device: str) -> None:
        """Reads the tables; the nets are loaded when they are first needed, for search needs one of the three."""
        self.identity_latents = weights.shape.identity_latents
        self._split = weights.shape.split
        self.code = BaseCode.of(weights)
        self._weights, self._device = weights, device
        self._costs, self._first = level_costs(self.code.tables), int(self.code.tables.offsets[0])
        self._prices = latent_prices(self.code.trellis, weights.shape)

    @cached_property
    def _identity_analysis(self) -> Net:
        features = NetInput((2, self._weights.shape.identity), dtype="float32")
        return self._weights.net("IdentityAnalysis", [features], self._device, FEATURES)

    @cached_property
    def _appearance_analysis(self) -> Net:
        inputs = [NetInput((2, CROP_SIZE, CROP_SIZE, 3)), NetInput((2, self.identity_latents), dtype="float32")]
        return self._weights.net("AppearanceAnalysis", inputs, self._device, FACES, bfloat16=True)

    @cached_property
    def _identity(self) -> Net:
        latents = NetInput((2, self.identity_latents), dtype="float32")
        return self._weights.net("IdentitySynthesis", [latents], self._device, FEATURES)

    @cached_property
    def _synthesis(self) -> Net:
        name = "BaseSynthesis" if self._split else "IdentityPicture"
        return self._weights.net(name, [NetInput((2, len(self.code)), dtype="float32")], self._device)

    def encode(self, crops: Image, features: FloatArray) -> list[bytes]:
        """Payloads of crops (N, 256, 256, 3) uint8 and their raw features (N, 128)."""
        payloads: list[bytes] = []
        for i in range(0, len(crops), BATCH):
            part = slice(i, i + BATCH)
            payloads += self._pack(self.latents(crops[part], features[part]))
        return payloads

    def latents(self, crops: Image, features: FloatArray) -> FloatArray:
        """(N, D) latents, not rounded, of crops (N, 256, 256, 3) uint8 and their raw features (N, 128)."""
        (identity,) = self._identity_analysis(features)
        if not self._split:
            return identity
        (appearance,) = self._appearance_analysis(crops, identity)
        return np.concatenate([identity, appearance], axis=1)

    def _pack(self, latents: FloatArray) -> list[bytes]:
        """The payloads of latents (N, D)."""
        levels = self.code.trellis.quantise(latents, self._costs, self._first, self._prices)
        payloads = [self.code.pack(row) for row in levels]
        return [
            data if len(data) <= MAX_BYTES else self._shortened(latent)
            for data, latent in zip(payloads, latents, strict=True)
        ]

    def _shortened(self, latent: FloatArray) -> bytes:
        """A payload of MAX_BYTES at most, of a latent (D,)."""
        trellis = self.code.trellis
        data = b""
        for spared in (self.identity_latents if self._split else 0, 0):
            for price in DEARER:
                prices = np.full(len(latent), price)
                prices[:spared] = self._prices[:spared]
                data = self.code.pack(trellis.quantise(latent[None], self._costs, self._first, prices)[0])
                if len(data) <= MAX_BYTES:
                    return data
        return data

    def features(self, payloads: Sequence[bytes]) -> FloatArray:
        """(N, 128) float32 unit-norm features: only the identity's levels are decoded. Raises CorruptCode."""
        features: FloatArray = self._identity(self._latents(payloads, self.identity_latents))[0]
        return features

    def drawn_features(self, count: int) -> FloatArray:
        """(count, 128) float32 features of made-up faces, the same each time: random bits decode to latents that are
        distributed as the code expects them."""
        chance = np.random.default_rng(count)
        latents = np.zeros((count, self.identity_latents), np.float32)
        known = min(self.identity_latents, len(self.code) - 1)  # only whole payloads are checked for their end
        latents[:, :known] = self._latents([chance.bytes(2 * MAX_BYTES) for _ in range(count)], known)
        features: FloatArray = self._identity(latents)[0]
        return features

    def pictures(self, payloads: Sequence[bytes]) -> Image:
        """(N, 256, 256, 3) uint8 pictures of whole payloads; raises CorruptCode."""
        latents = self._latents(payloads)
        parts = [self._synthesis(latents[i : i + BATCH])[0] for i in range(0, len(latents), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, CROP_SIZE, CROP_SIZE, 3), np.uint8)

    def _latents(self, payloads: Sequence[bytes], count: int | None = None) -> FloatArray:
        """(N, count) float32 decoded latents; raises CorruptCode."""
        return self.code.multiples(payloads, count).astype(np.float32) * np.float32(self.code.trellis.unit)
