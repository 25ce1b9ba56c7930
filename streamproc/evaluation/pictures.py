"""Picture quality and rate."""

import numpy as np
import numpy.typing as npt

from streamproc.types import Image


def psnr(original: Image, decoded: Image) -> npt.NDArray[np.float64]:
    """(N,) dB over all pixels and colours of (N, H, W, 3) uint8 pictures."""
    error = (original.astype(np.float64) - decoded).reshape(len(original), -1)
    decibels: npt.NDArray[np.float64] = 10 * np.log10(255**2 / np.maximum((error**2).mean(axis=1), 1e-9))
    return decibels


def bits_per_pixel(payload: bytes, size: int = 256) -> float:
    """Bits a pixel of a payload, counted from its bytes."""
    return len(payload) * 8 / size**2
