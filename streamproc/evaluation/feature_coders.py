"""Coders of the raw feature: what one is, and those that quantise each number by itself (SQ, KLT)."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streamproc.codec.bitstream import pack_base, unpack_bases
from streamproc.codec.code_tables import CodeTables, counts_from_pmf
from streamproc.codec.range_coder import ideal_bits
from streamproc.types import Array, FloatArray

IntArray = npt.NDArray[np.int32]
KLT_DIMENSIONS = 64
"""Dimensions that hold 99.98 % of the feature's variance."""
SMOOTHING = 0.5
"""Added to each count of a table."""
MARGIN = 2
"""Values beyond the training faces' extremes that a table still holds; those further out are clipped."""
SEARCH_STEPS = 24


class FeatureCoder(Protocol):
    """Features (N, 128) to payloads and back. `fit` comes first; it is given the training faces' features and their
    identities (N,), -1 where unknown."""

    def fit(self, features: FloatArray, identities: npt.NDArray[np.int64]) -> None:
        """Learns from training faces."""
        ...

    def encode(self, features: FloatArray) -> list[bytes]:
        """A payload a feature."""
        ...

    def decode(self, payloads: Sequence[bytes]) -> FloatArray:
        """(N, K) float32 of unit norm, compared by their cosine."""
        ...

    def ideal_bits(self, payloads: Sequence[bytes]) -> float:
        """Mean ideal code length, bits."""
        ...


def unit(features: Array) -> FloatArray:
    """(N, K) float32 of unit norm; rows of nothing stay nothing."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: FloatArray = (features / np.maximum(norms, 1e-12)).astype(np.float32)
    return scaled


class RawCoder:
    """The feature as it is: 32 bits a number."""

    def fit(self, features: FloatArray, identities: npt.NDArray[np.int64]) -> None:
        """Nothing to learn."""

    def encode(self, features: FloatArray) -> list[bytes]:
        """Little-endian float32."""
        return [row.astype("<f4").tobytes() for row in features]

    def decode(self, payloads: Sequence[bytes]) -> FloatArray:
        """(N, 128)."""
        return unit(np.stack([np.frombuffer(payload, "<f4") for payload in payloads]))

    def ideal_bits(self, payloads: Sequence[bytes]) -> float:
        """As counted."""
        return float(np.mean([8 * len(payload) for payload in payloads]))


class SymbolCoder:
    """Range coder of vectors of integers under static tables, one a dimension, counted on training vectors."""

    def __init__(self, symbols: IntArray) -> None:
        """Counts the tables on `symbols` (N, D)."""
        lows = symbols.min(axis=0) - MARGIN
        highs = symbols.max(axis=0) + MARGIN
        rows = [
            counts_from_pmf(np.bincount(column - low, minlength=high - low + 1) + SMOOTHING)
            for column, low, high in zip(symbols.T, lows, highs, strict=True)
        ]
        self._range = (lows, highs)
        self._tables = CodeTables.from_counts(rows, lows.astype(np.int32))

    def encode(self, symbols: IntArray) -> list[bytes]:
        """A payload for each row of (N, D)."""
        return [pack_base(row, self._tables) for row in np.clip(symbols, *self._range).astype(np.int32)]

    def decode(self, payloads: Sequence[bytes]) -> IntArray:
        """(N, D) int32; raises CorruptCode."""
        return unpack_bases(payloads, self._tables)

    def ideal_bits(self, symbols: IntArray) -> npt.NDArray[np.float64]:
        """(N,) ideal code lengths of the rows of (N, D), bits."""
        places = np.arange(len(self._tables), dtype=np.int32)
        clipped = np.clip(symbols, *self._range).astype(np.int32)
        return np.array([ideal_bits(row, places, self._tables) for row in clipped])


def entropy_bits(symbols: IntArray) -> float:
    """The sum of the dimensions' empirical entropies of symbols (N, D), bits."""
    total = 0.0
    for column in symbols.T:
        shares = np.bincount(column - column.min()) / len(column)
        shares = shares[shares > 0]
        total -= float((shares * np.log2(shares)).sum())
    return total


def step_for(bits: float, cost: Callable[[float], float], low: float, high: float) -> float:
    """The step between `low` and `high` that costs `bits`, by bisection of its logarithm; `cost` falls with the
    step."""
    for _ in range(SEARCH_STEPS):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if cost(middle) > bits else (low, middle)
    return float(np.sqrt(low * high))


class ScalarCoder:
    """A uniform quantiser and an entropy coder: of the feature's own numbers (SQ), or of its Karhunen-Loeve transform
    (`transform`), the step chosen on the training faces for about `bits`."""

    def __init__(self, bits: float, transform: bool) -> None:
        self._bits = bits
        self._transform = transform

    def fit(self, features: FloatArray, identities: npt.NDArray[np.int64]) -> None:
        """Transform, step and tables."""
        size = features.shape[1]
        self._mean = features.mean(axis=0) if self._transform else np.zeros(size, np.float32)
        self._basis = np.eye(size)
        if self._transform:
            vectors = np.linalg.eigh(np.cov(features, rowvar=False))[1]
            self._basis = vectors[:, ::-1][:, : min(KLT_DIMENSIONS, size)]
        moved = self._analyse(features)
        self._step = step_for(self._bits, lambda step: entropy_bits(_rounded(moved / step)), 1e-4, 2.0)
        self._symbols = SymbolCoder(_rounded(moved / self._step))

    def encode(self, features: FloatArray) -> list[bytes]:
        """One range-coded stream a feature."""
        return self._symbols.encode(_rounded(self._analyse(features) / self._step))

    def decode(self, payloads: Sequence[bytes]) -> FloatArray:
        """(N, 128)."""
        return unit(self._symbols.decode(payloads) * self._step @ self._basis.T + self._mean)

    def ideal_bits(self, payloads: Sequence[bytes]) -> float:
        """Under the tables."""
        return float(self._symbols.ideal_bits(self._symbols.decode(payloads)).mean())

    def _analyse(self, features: FloatArray) -> npt.NDArray[np.float64]:
        moved: npt.NDArray[np.float64] = (features.astype(np.float64) - self._mean) @ self._basis
        return moved


def _rounded(values: npt.NDArray[np.float64]) -> IntArray:
    whole: IntArray = np.rint(values).astype(np.int32)
    return whole
