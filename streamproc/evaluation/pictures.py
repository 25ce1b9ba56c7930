"""Picture quality and rate."""

import numpy as np
import numpy.typing as npt

from streamproc.types import Image


def psnr(original: Image, decoded: Image) -> npt.NDArray[np.float64]:
    """(N,) dB over all pixels and colours of (N, H, W, 3) uint8 pictures."""
    # One by one: in float64 a thousand pictures are 1.6 GB.
    error = np.array(
        [np.square(one.astype(np.float64) - other).mean() for one, other in zip(original, decoded, strict=True)]
    )
    decibels: npt.NDArray[np.float64] = 10 * np.log10(255**2 / np.maximum(error, 1e-9))
    return decibels


def bits_per_pixel(payload: bytes, size: int = 256) -> float:
    """Bits a pixel of a payload, counted from its bytes."""
    return len(payload) * 8 / size**2
