"""Picture quality and rate."""

import numpy as np
import numpy.typing as npt
import torch

from streamproc.evaluation.libraries import library
from streamproc.types import Image

BATCH = 16


def psnr(original: Image, decoded: Image) -> npt.NDArray[np.float64]:
    """(N,) dB over all pixels and colours of (N, H, W, 3) uint8 pictures."""
    error = (original.astype(np.float64) - decoded).reshape(len(original), -1)
    decibels: npt.NDArray[np.float64] = 10 * np.log10(255**2 / np.maximum((error**2).mean(axis=1), 1e-9))
    return decibels


def ms_ssim(original: Image, decoded: Image) -> npt.NDArray[np.float64]:
    """(N,) multi-scale structural similarity (Wang et al. 2003) of (N, H, W, 3) uint8 pictures, sides above 160."""
    measure = library("pytorch_msssim").ms_ssim
    parts = []
    for i in range(0, len(original), BATCH):
        # Planes in float32: a quarter of the time of interleaved float64, and within 2e-6 of it.
        planes = [torch.from_numpy(p[i : i + BATCH]).permute(0, 3, 1, 2).contiguous() for p in (original, decoded)]
        pair = [p.float() for p in planes]
        parts.append(measure(*pair, data_range=255, size_average=False).numpy())
    values: npt.NDArray[np.float64] = np.concatenate(parts)
    return values


def decibels(similarity: float) -> float:
    """MS-SSIM as dB, on which differences near 1 can be seen: -10 log10(1 - similarity)."""
    return float(-10 * np.log10(max(1 - similarity, 1e-9)))


def bits_per_pixel(payload: bytes, size: int = 256) -> float:
    """Bits a pixel of a payload, counted from its bytes."""
    return len(payload) * 8 / size**2
