"""The dimensions in which features live, turned so that each tells as much as any other."""

import numpy as np

from storage.index.instructions import WORD
from streamproc.types import FloatArray

LOST = 1e-4
"""The share of the features' squared lengths that may lie outside: it moves similarities by no more than that."""


def live_basis(features: FloatArray) -> FloatArray:
    """(D, F) float32, its rows orthonormal: the directions of the features (N, F), D a multiple of 64.

    They are turned at random, always the same way: a code of one bit a dimension tells most where all dimensions vary
    alike (RaBitQ; Gao and Long 2024). As many features as dimensions are needed at least, such as decoded random codes.

    Raises ValueError where there are fewer, or where F is less than D.
    """
    count, length = features.shape
    spread, directions = np.linalg.eigh(features.T.astype(np.float64) @ features.astype(np.float64))
    live = length - int(np.count_nonzero(np.cumsum(spread) <= LOST * spread.sum()))
    dimensions = -(-live // WORD) * WORD
    if count < dimensions or length < dimensions:
        raise ValueError(f"{count} features of {length} numbers do not tell in which {dimensions} dimensions they live")
    turn, _ = np.linalg.qr(np.random.default_rng(64).standard_normal((dimensions, dimensions)))
    basis: FloatArray = (turn @ directions[:, -dimensions:].T).astype(np.float32)
    return basis
