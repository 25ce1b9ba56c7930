"""Faces as the index holds them: packed rows, and how features become such rows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage.index.instructions import WORD
from storage.index.kernels import Bytes, Longs, Words, quantise
from streamproc.types import FloatArray

INSIDE = 0.5
"""The share of a feature's length that the basis must reach. All but one in thousands lie inside it up to 0.1 %."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """N faces: keys, tracks and times (N,) int64, cameras (N,) int32; signs (D / 64, N) and sizes (N, D) of
    their coordinates, as `kernels` says."""

    keys: Longs
    tracks: Longs
    cameras: npt.NDArray[np.int32]
    times: Longs
    codes: Words
    vectors: Bytes

    def __len__(self) -> int:
        return len(self.keys)

    def taken(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Rows":
        """Those of the rows, by number or by mask."""
        return Rows(
            self.keys[which],
            self.tracks[which],
            self.cameras[which],
            self.times[which],
            np.ascontiguousarray(self.codes[:, which]),
            self.vectors[which],
        )


def together(parts: list[Rows]) -> Rows:
    """The rows of all parts, of which there is at least one, by camera, time and key."""
    keys = np.concatenate([part.keys for part in parts])
    cameras = np.concatenate([part.cameras for part in parts])
    times = np.concatenate([part.times for part in parts])
    order = np.lexsort((keys, times, cameras))
    return Rows(
        keys[order],
        np.concatenate([part.tracks for part in parts])[order],
        cameras[order],
        times[order],
        np.concatenate([part.codes for part in parts], axis=1)[:, order],
        np.concatenate([part.vectors for part in parts])[order],
    )


def packed(
    basis: FloatArray,
    keys: Longs,
    tracks: Longs,
    cameras: npt.NDArray[np.int32],
    times: Longs,
    features: FloatArray,
) -> Rows:
    """Rows of N faces from their features (N, F) of unit norm; `basis` is (D, F), its rows orthonormal. What lies
    outside it is left away.

    Raises ValueError for arrays that do not go together, and for features that are not finite or lie outside the basis.
    """
    count, dimensions = len(features), len(basis)
    if features.shape != (count, basis.shape[1]):
        raise ValueError(f"features of {basis.shape[1]} numbers each are indexed, not {features.shape}")
    for column in (keys, tracks, cameras, times):
        if np.shape(column) != (count,):
            raise ValueError(f"{count} features came with {np.shape(column)} of something else")
    coordinates = np.asarray(features, np.float32) @ basis.T
    lengths = np.linalg.norm(coordinates, axis=1)
    if not np.all((lengths >= INSIDE) & (lengths <= 1.01)):
        raise ValueError("a feature is not finite, not of unit norm, or lies outside the index's basis")
    coordinates /= lengths[:, None]
    codes = np.empty((dimensions // WORD, count), np.uint64)
    vectors = np.empty((count, dimensions), np.uint8)
    quantise(coordinates, codes, vectors)
    return Rows(
        np.array(keys, np.int64),
        np.array(tracks, np.int64),
        np.array(cameras, np.int32),
        np.array(times, np.int64),
        codes,
        vectors,
    )


def unpacked(codes: Words, vectors: Bytes) -> FloatArray:
    """(N, D) coordinates of unit norm, as far as nine bits each tell them, of codes (D / 64, N) and vectors (N, D)."""
    bytes_of = np.ascontiguousarray(codes.T).astype("<u8", copy=False).view(np.uint8)
    signs = 1 - 2 * np.unpackbits(bytes_of, axis=1, bitorder="little").astype(np.float32)
    coordinates = signs * (vectors + np.float32(0.5))
    found: FloatArray = coordinates / np.linalg.norm(coordinates, axis=1, keepdims=True)
    return found
