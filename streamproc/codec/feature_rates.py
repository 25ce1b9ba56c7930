"""The identity coder of Eqs. 2-3 at several rates, each with its own net and integer tables, all in one small file.

The archive uses one rate, inside the base layer; these measure what the coder does at others.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch.nn import functional as F

from streamproc.codec.bitstream import pack_base, unpack_bases
from streamproc.codec.code_tables import CodeTables
from streamproc.codec.networks import FeatureCoder, GdnFactory, VectorGdn
from streamproc.codec.profiles import shipped_folder
from streamproc.codec.range_coder import ideal_bits
from streamproc.codec.weights import ID_LENGTH, tensors_hash
from streamproc.errors import WeightsError
from streamproc.types import FloatArray

FEATURE, LATENTS, HIDDEN = 128, 64, 128
"""Sizes of the nets; hidden layers are half as wide as the base layer's, so that five of them stay small."""


def rates_path() -> Path:
    """Where the shipped file lies."""
    return shipped_folder() / "rates" / "feature_rates.safetensors"


def rate_net(gdn: GdnFactory) -> FeatureCoder:
    """A net of these sizes, untrained."""
    return FeatureCoder(FEATURE, LATENTS, gdn, HIDDEN)


def net_prefix(rate: int) -> str:
    """Name in the file of the net of a rate."""
    return f"net{rate}"


def tables_prefix(rate: int) -> str:
    """Name in the file of the tables of a rate."""
    return f"tables{rate}"


class RateCoder:
    """One of the coders: features (N, 128) to payloads and back."""

    def __init__(self, net: FeatureCoder, tables: CodeTables) -> None:
        self._net = net
        self._tables = tables

    @torch.inference_mode()
    def encode(self, features: FloatArray) -> list[bytes]:
        """One range-coded stream a feature."""
        latents = self._net.analyse(torch.from_numpy(features))
        symbols = latents.round().to(torch.int32).numpy()
        return [pack_base(row, self._tables) for row in symbols]

    @torch.inference_mode()
    def decode(self, payloads: Sequence[bytes]) -> FloatArray:
        """(N, 128) float32 of unit norm; raises CorruptCode."""
        symbols = torch.from_numpy(unpack_bases(payloads, self._tables)).float()
        features: FloatArray = F.normalize(self._net.synthesise(symbols), dim=1).numpy()
        return features

    def ideal_bits(self, payloads: Sequence[bytes]) -> float:
        """Mean ideal code length, bits."""
        places = np.arange(len(self._tables), dtype=np.int32)
        return float(np.mean([ideal_bits(row, places, self._tables) for row in unpack_bases(payloads, self._tables)]))

    def fit(self, features: FloatArray, identities: npt.NDArray[np.int64]) -> None:
        """Nothing: it was trained by `train rates`."""


class FeatureRates:
    """All the coders of the file, lowest rate first; `trunk` is the hash of the feature net that they were trained
    on: features of another one mean nothing to them; `rates_id` is the hash of their own tensors."""

    def __init__(self, coders: Sequence[RateCoder], trunk: str, rates_id: str) -> None:
        self.coders = tuple(coders)
        self.trunk = trunk
        self.rates_id = rates_id

    @classmethod
    def load(cls, path: Path) -> Self:
        """The coders of a file; raises WeightsError when it is missing or damaged."""
        if not path.is_file():
            raise WeightsError(f"{path} is missing: run `train rates` first")
        try:
            with safe_open(path, framework="pt") as file:
                said = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            count, trunk = int(said["rates"]), said["trunk"]
            arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
            coders = []
            for rate in range(count):
                start = f"{net_prefix(rate)}."
                net = rate_net(VectorGdn)
                net.load_state_dict(
                    {n.removeprefix(start): t.float() for n, t in tensors.items() if n.startswith(start)}
                )
                tables = CodeTables.from_arrays(arrays, tables_prefix(rate))
                coders.append(RateCoder(net.eval().requires_grad_(False), tables))
        except (SafetensorError, KeyError, ValueError, RuntimeError, OSError) as error:
            raise WeightsError(f"{path} holds no feature coders, or it is damaged ({error}): fetch it again") from error
        return cls(coders, trunk, tensors_hash(arrays, trunk)[:ID_LENGTH])
