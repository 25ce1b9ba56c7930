"""Product quantisation (Jegou et al. 2011) and its optimised form (Ge et al. 2013), by faiss."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from streamproc.evaluation.feature_coders import unit
from streamproc.evaluation.libraries import library
from streamproc.types import FloatArray

CODE_BITS = 8
"""Bits of a part's code: 256 centres a part."""
ROTATION_ROUNDS = 10
"""Rounds of the alternation of rotation and centres; faiss's default is 50, which takes ten minutes here."""


class ProductCoder:
    """`bits` / 8 parts of the feature, each as the nearest of 256 centres; `optimised`: after a learned rotation."""

    def __init__(self, bits: int, optimised: bool) -> None:
        self._parts = bits // CODE_BITS
        self._optimised = optimised

    def fit(self, features: FloatArray, identities: npt.NDArray[np.int64]) -> None:
        """Rotation and centres. The feature has to be a multiple of the parts long."""
        faiss = library("faiss")
        faiss.omp_set_num_threads(1)
        self._rotation: Any = None
        if self._optimised:
            self._rotation = faiss.OPQMatrix(features.shape[1], self._parts)
            self._rotation.niter = ROTATION_ROUNDS
            self._rotation.train(features)
        self._quantiser: Any = faiss.ProductQuantizer(features.shape[1], self._parts, CODE_BITS)
        self._quantiser.train(self._rotated(features))

    def encode(self, features: FloatArray) -> list[bytes]:
        """A byte a part."""
        return [code.tobytes() for code in self._quantiser.compute_codes(self._rotated(features))]

    def decode(self, payloads: Sequence[bytes]) -> FloatArray:
        """(N, 128), rotated or not: the cosine does not mind."""
        codes = np.frombuffer(b"".join(payloads), np.uint8).reshape(len(payloads), self._parts)
        return unit(self._quantiser.decode(codes))

    def ideal_bits(self, payloads: Sequence[bytes]) -> float:
        """As counted."""
        return float(self._parts * CODE_BITS)

    def _rotated(self, features: FloatArray) -> FloatArray:
        moved: FloatArray = self._rotation.apply_py(features) if self._rotation is not None else features
        return np.ascontiguousarray(moved, np.float32)
