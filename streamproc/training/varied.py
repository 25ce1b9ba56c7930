"""Training pictures made more various: 17,000 faces are few for nets of 5 million weights."""

import torch
from torch import Tensor
from torch.nn import functional as F

TURN = 4.0
"""Standard deviation of the turn in degrees: detectors' landmarks are off by about as much."""
ZOOM = 0.08
SHIFT = 0.03
"""Standard deviations of the zoom, relative, and of the shift, in sides of the picture."""
LIGHT = 0.12
TINT = 0.06
GAMMA = 0.15
"""Standard deviations, on a logarithmic scale, of brightness, of each colour's own, and of gamma."""
LIT_SHARE = 0.3
"""Share of the pictures whose light is changed."""


def varied(pictures: Tensor, size: int) -> Tensor:
    """(N, 3, size, size) in 0..1: pictures (N, 3, S, S) in 0..1, S near 2 * size, mirrored, turned, zoomed and shifted
    a little, some of them in another light. What lies outside the picture is its mirror image."""
    return _lit(_moved(pictures, size))


def _moved(pictures: Tensor, size: int) -> Tensor:
    n = len(pictures)
    turn = torch.randn(n) * (TURN * torch.pi / 180)
    zoom = torch.exp(torch.randn(n) * ZOOM)
    mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    shift = torch.randn(n, 2) * (2 * SHIFT)
    cosine, sine = turn.cos() * zoom, turn.sin() * zoom
    rows = [cosine * mirror, -sine, shift[:, 0], sine * mirror, cosine, shift[:, 1]]
    place = torch.stack(rows, dim=1).reshape(n, 2, 3).to(pictures)
    grid = F.affine_grid(place, [n, 3, size, size], align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _lit(pictures: Tensor) -> Tensor:
    n = len(pictures)
    lit = (torch.rand(n, 1, 1, 1) < LIT_SHARE).float()
    gain = torch.exp(lit * (torch.randn(n, 1, 1, 1) * LIGHT + torch.randn(n, 3, 1, 1) * TINT)).to(pictures)
    gamma = torch.exp(lit * torch.randn(n, 1, 1, 1) * GAMMA).to(pictures)
    return (pictures.clamp(0, 1) ** gamma * gain).clamp(0, 1)
