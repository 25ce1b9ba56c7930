"""Picture quality and rate."""

import numpy as np
import numpy.typing as npt
import torch

from streamproc.evaluation.libraries import library
from streamproc.types import Array, Image

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
        pair = [torch.from_numpy(p[i : i + BATCH]).permute(0, 3, 1, 2).double() for p in (original, decoded)]
        parts.append(measure(*pair, data_range=255, size_average=False).numpy())
    values: npt.NDArray[np.float64] = np.concatenate(parts)
    return values


def decibels(similarity: float) -> float:
    """MS-SSIM as dB, on which differences near 1 can be seen: -10 log10(1 - similarity)."""
    return float(-10 * np.log10(max(1 - similarity, 1e-9)))


def bits_per_pixel(payload: bytes, size: int = 256) -> float:
    """Bits a pixel of a payload, counted from its bytes."""
    return len(payload) * 8 / size**2


def min_max(residual: Array) -> tuple[Image, int, int]:
    """(uint8 picture, minimum, maximum) of an integer residual (H, W, 3): its range stretched to 0..255 (Eq. 5)."""
    low, high = int(residual.min()), int(residual.max())
    scaled: Image = np.rint((residual - low) * (255 / max(high - low, 1))).astype(np.uint8)
    return scaled, low, high


def from_min_max(scaled: Image, low: int, high: int) -> Array:
    """The residual (H, W, 3) float64 that `min_max` stretched."""
    return scaled * (max(high - low, 1) / 255) + low
