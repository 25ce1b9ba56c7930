"""Pictures from a feature alone, as the paper makes them: the coarse one of Eqs. 1 and 3, the pyramid of Eq. 4.

Both nets have a linear path, which training starts from, beside their transposed convolutions.
"""

import itertools

from torch import Tensor, nn
from torch.nn import functional as F

from streamproc.codec.networks import deconvolution, silence
from streamproc.codec.shape import PICTURE_SIDE

STRUCTURE_SIDE = 32
FEATURE_GAIN = 8.0
"""Brings the numbers of a unit-norm feature to a size near 1."""


def _stack(widths: list[int]) -> nn.ModuleList:
    """Transposed convolutions from 1x1 to 4x4 and then to twice the size each."""
    return nn.ModuleList(deconvolution(a, b, i == 0) for i, (a, b) in enumerate(itertools.pairwise(widths)))


class StructureNet(nn.Module):
    """Feature -> structure (Eqs. 1, 3): features (N, 128) to pictures (N, 3, 32, 32) in about 0..1."""

    def __init__(self, feature: int) -> None:
        super().__init__()
        self.linear = nn.Linear(feature, 3 * STRUCTURE_SIDE**2)
        self.layers = nn.Sequential(*_stack([feature, 512, 256, 128, 64]))
        self.last = nn.Conv2d(64, 3, 3, padding=1)
        silence(self.last)

    def forward(self, feature: Tensor) -> Tensor:
        """The pictures."""
        coarse = self.linear(feature).reshape(-1, 3, STRUCTURE_SIDE, STRUCTURE_SIDE)
        picture: Tensor = coarse + self.last(self.layers(feature[:, :, None, None] * FEATURE_GAIN))
        return picture


class LaplacianNet(nn.Module):
    """Feature -> texture (Eq. 4): transposed convolutions, and at 64, 128 and 256 a 3x3 convolution to the difference
    from the level below, enlarged."""

    def __init__(self, feature: int) -> None:
        super().__init__()
        self.linear = nn.Linear(feature, 3 * PICTURE_SIDE**2)
        self.blocks = _stack([feature, 512, 256, 128, 64, 64, 32, 16])
        self.to_rgb = nn.ModuleList(nn.Conv2d(width, 3, 3, padding=1) for width in (64, 32, 16))
        for layer in self.to_rgb:
            silence(layer)

    def forward(self, feature: Tensor, levels: int = 3) -> list[Tensor]:
        """The first `levels` of the pictures (N, 3, S, S) in about 0..1, S = 64, 128, 256, of features (N, 128)."""
        x = feature[:, :, None, None] * FEATURE_GAIN
        for block in self.blocks[:5]:
            x = block(x)
        coarse = self.linear(feature).reshape(-1, 3, PICTURE_SIDE, PICTURE_SIDE)
        pictures = [coarse + self.to_rgb[0](x)]
        for level in range(1, levels):
            x = self.blocks[4 + level](x)
            below = F.interpolate(pictures[-1], scale_factor=2, mode="bilinear", align_corners=False)
            pictures.append(below + self.to_rgb[level](x))
        return pictures
