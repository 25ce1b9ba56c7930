"""Multi-scale structural similarity (Wang et al. 2003)."""

import numpy as np
import numpy.typing as npt

from streamproc.types import Image

BATCH = 16


def ms_ssim(original: Image, decoded: Image) -> npt.NDArray[np.float64]:
    """(N,) in 0..1 of (N, H, W, 3) uint8 pictures, sides above 160."""
    # torch takes long to import, and few encoders of pictures need it.
    import pytorch_msssim  # type: ignore[import-untyped]
    import torch

    parts = []
    for i in range(0, len(original), BATCH):
        # Planes in float32: a quarter of the time of interleaved float64, and within 2e-6 of it.
        planes = [torch.from_numpy(p[i : i + BATCH]).permute(0, 3, 1, 2).contiguous() for p in (original, decoded)]
        pair = [p.float() for p in planes]
        parts.append(pytorch_msssim.ms_ssim(*pair, data_range=255, size_average=False).numpy())
    values: npt.NDArray[np.float64] = np.concatenate(parts)
    return values


def decibels(similarity: float) -> float:
    """MS-SSIM as dB, on which differences near 1 can be seen: -10 log10(1 - similarity)."""
    return float(-10 * np.log10(max(1 - similarity, 1e-9)))
