"""The dimensions in which features live, turned so that each tells as much as any other."""

import numpy as np

from storage.index.kernels import WORD
from streamproc.types import FloatArray

DEAD = 1e-6
"""A direction in which features vary by less than this share of the widest one is rounding."""


def live_basis(features: FloatArray) -> FloatArray:
    """(D, F) float32, its rows orthonormal: the directions of the features (N, F), D a multiple of 64.

    They are turned at random, always the same way: a code of one bit a dimension tells most where all dimensions vary
    alike (RaBitQ; Gao and Long 2024). As many features as dimensions are needed at least, such as decoded random codes.

    Raises ValueError where there are fewer, or where F is less than D.
    """
    count, length = features.shape
    spread, directions = np.linalg.eigh(features.T.astype(np.float64) @ features.astype(np.float64))
    live = int(np.count_nonzero(spread > DEAD * spread[-1]))
    dimensions = -(-live // WORD) * WORD
    if count < dimensions or length < dimensions:
        raise ValueError(f"{count} features of {length} numbers do not tell in which {dimensions} dimensions they live")
    turn, _ = np.linalg.qr(np.random.default_rng(64).standard_normal((dimensions, dimensions)))
    basis: FloatArray = (turn @ directions[:, -dimensions:].T).astype(np.float32)
    return basis
