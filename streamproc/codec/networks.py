"""The codec's networks: feature coder (Eqs. 2-3), appearance net, texture net (Eq. 4), residual net (Eqs. 5-6).

The nets are built with whichever GDN they are given: training gives compressai's, decoding the plain one below, which
holds the numbers that training arrived at (and spares every search the seconds that importing compressai takes).
"""

import itertools
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamproc.codec.shape import LATENT_LIMIT, PICTURE_SIDE


class Gdn(nn.Module):
    """Generalised divisive normalisation (Balle et al. 2016): x / sqrt(beta + gamma x^2) over the channels of
    (N, C, H, W), or x times that root (`inverse`). To be filled from trained weights."""

    def __init__(self, channels: int, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta, self.gamma = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) of the same shape."""
        norm = F.conv2d(x * x, self.gamma[:, :, None, None], self.beta)
        return x * (norm.sqrt() if self.inverse else norm.rsqrt())


class VectorGdn(Gdn):
    """The same of vectors, (N, C, 1, 1): as a matrix product, for which OpenVINO takes a third of the time."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, 1, 1) of the same shape."""
        vectors = x.flatten(1)
        norm = F.linear(vectors * vectors, self.gamma, self.beta)
        return (vectors * (norm.sqrt() if self.inverse else norm.rsqrt()))[:, :, None, None]


GdnFactory = Callable[[int, bool], nn.Module]
"""Makes a GDN of so many channels, inverse or not."""


class _GdnStack(nn.Module):
    """Fully connected layers with GDN (or its inverse) between them; (N, inputs) -> (N, outputs)."""

    def __init__(self, inputs: int, hidden: int, outputs: int, inverse: bool, gdn: GdnFactory) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)
        self.gdn1, self.gdn2 = gdn(hidden, inverse), gdn(hidden, inverse)
        # Starts silent: the linear path beside it is already a good transform code.
        silence(self.last)

    def forward(self, x: Tensor) -> Tensor:
        # A GDN takes (N, C, H, W).
        x = self.gdn1(self.first(x)[:, :, None, None])[:, :, 0, 0]
        x = self.gdn2(self.second(x)[:, :, None, None])[:, :, 0, 0]
        return cast(Tensor, self.last(x))


class FeatureCoder(nn.Module):
    """Feature <-> latent (Eqs. 2-3): FC-GDN-FC-GDN-FC beside a linear path, and its mirror with inverse GDN."""

    def __init__(self, feature: int, latents: int, gdn: GdnFactory = VectorGdn, hidden: int = 256) -> None:
        super().__init__()
        self.linear_in, self.linear_out = nn.Linear(feature, latents), nn.Linear(latents, feature)
        self.stack_in = _GdnStack(feature, hidden, latents, False, gdn)
        self.stack_out = _GdnStack(latents, hidden, feature, True, gdn)

    def analyse(self, feature: Tensor) -> Tensor:
        """(N, latents) within +-20, not rounded, of (N, feature)."""
        return torch.clamp(self.linear_in(feature) + self.stack_in(feature), -LATENT_LIMIT, LATENT_LIMIT)

    def synthesise(self, latent: Tensor) -> Tensor:
        """(N, feature) of (N, latents)."""
        return cast(Tensor, self.linear_out(latent) + self.stack_out(latent))


class AppearanceNet(nn.Module):
    """What the identity leaves out of the picture (pose, light, colour, hair): (N, 3, 64, 64) crops in 0..1 -> latents.

    A Karhunen-Loeve transform of the picture, which training starts from, with a convolutional correction beside it.
    """

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * PICTURE_SIDE**2, latents)
        layers: list[nn.Module] = []
        for before, after in [(3, 48), (48, 96), (96, 128), (128, 192)]:
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after), nn.LeakyReLU(0.1)]
        last = nn.Linear(192 * 16, latents)
        self.layers = nn.Sequential(*layers, nn.Flatten(), last)
        silence(last)

    def forward(self, crops: Tensor) -> Tensor:
        """(N, latents) within +-20, not rounded, of (N, 3, 64, 64)."""
        latent = self.linear(crops.flatten(1)) + self.layers(crops * 2 - 1)
        return torch.clamp(latent, -LATENT_LIMIT, LATENT_LIMIT)


class TextureNet(nn.Module):
    """Picture from a decoded base layer (Eq. 4): the Karhunen-Loeve transform's picture, corrected by transposed
    convolutions that see the identity, the latents and that picture; then a Laplacian pyramid whose finer levels are
    the coarser one enlarged plus a 3x3 convolution (with sub-pixel output, Shi et al. 2016)."""

    def __init__(self, identity: int, latents: int) -> None:
        super().__init__()
        self.linear = nn.Linear(latents, 3 * PICTURE_SIDE**2)
        widths = [identity + latents, 512, 256, 128, 64, 32, 16]
        self.blocks = nn.ModuleList(deconvolution(a, b, i == 0) for i, (a, b) in enumerate(itertools.pairwise(widths)))
        self.refine = nn.Sequential(_convolution(128), nn.ReLU(inplace=True), _convolution(128))
        self.guides = nn.ModuleList(
            nn.Conv2d(colours, width, 3, padding=1) for colours, width in [(3, 256), (3, 128), (12, 64)]
        )
        self.to_rgb = nn.ModuleList(nn.Conv2d(width, 12, 3, padding=1) for width in (64, 32, 16))
        for layer in self.to_rgb:
            # Every level begins as what lies under it.
            silence(layer)

    def forward(self, identity: Tensor, latents: Tensor, levels: int = 3) -> list[Tensor]:
        """The first `levels` of the pictures (N, 3, S, S) in about 0..1, S = 64, 128, 256."""
        coarsest, (*_, x) = self.coarsest(identity, latents)
        pictures = [coarsest]
        for level in range(1, levels):
            x = self.blocks[3 + level](x)
            below = F.interpolate(pictures[-1], scale_factor=2, mode="bilinear", align_corners=False)
            pictures.append(below + F.pixel_shuffle(self.to_rgb[level](x), 2))
        return pictures

    def coarsest(self, identity: Tensor, latents: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The picture (N, 3, 64, 64), and what it came through wherever there is a ReLU: the first three blocks, the
        refinement's inside, the fourth block, and that with its guide."""
        coarse = self.linear(latents).reshape(-1, 3, PICTURE_SIDE, PICTURE_SIDE)
        guide = coarse * 2 - 1
        first = self.blocks[0](torch.cat([identity * 8, latents / 2], dim=1)[:, :, None, None])
        second = self.blocks[1](first)
        third = self.blocks[2](second + self.guides[0](F.avg_pool2d(guide, 8)))
        x = third + self.guides[1](F.avg_pool2d(guide, 4))
        hidden = self.refine[1](self.refine[0](x))
        fourth = self.blocks[3](x + self.refine[2](hidden))
        last = fourth + self.guides[2](F.pixel_unshuffle(guide, 2))
        picture = coarse + F.pixel_shuffle(self.to_rgb[0](F.relu(last)), 2)
        return picture, (first, second, third, hidden, fourth, last)


def silence(layer: nn.Module) -> None:
    """Nothing; the layer gives zeros until it is trained."""
    nn.init.zeros_(layer.get_parameter("weight"))
    nn.init.zeros_(layer.get_parameter("bias"))


def deconvolution(before: int, after: int, first: bool) -> nn.Sequential:
    """To four times the side (`first`) or twice, with batch norm and ReLU."""
    stride, padding = (1, 0) if first else (2, 1)
    layer = nn.ConvTranspose2d(before, after, 4, stride=stride, padding=padding, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def _convolution(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))


class ResidualNet(nn.Module):
    """The enhancement layer's nets (Eqs. 5-6): analysis, synthesis and hyper-analysis of the mean-and-scale hyperprior
    (Minnen et al. 2018) on the residual scaled to 0..1; the hyper-synthesis is `streamproc.codec.integer_net`.

    A gain per latent channel and rate point (Cui et al. 2021) lets one net serve every rate.
    """

    def __init__(self, channels: int, latents: int, qualities: int, gdn: GdnFactory = Gdn) -> None:
        super().__init__()
        n = channels
        self.analysis = nn.Sequential(
            *(_down(3, n), gdn(n, False), _down(n, n), gdn(n, False), _down(n, n), gdn(n, False), _down(n, latents))
        )
        self.synthesis = nn.Sequential(
            *(_up(latents, n), gdn(n, True), _up(n, n), gdn(n, True), _up(n, n), gdn(n, True), _up(n, 3))
        )
        first = nn.Conv2d(latents, n, 3, padding=1)
        self.hyper_analysis = nn.Sequential(first, nn.ReLU(), _down(n, n), nn.ReLU(), _down(n, n))
        steps = torch.linspace(-0.6, 0.6, qualities)[:, None].expand(qualities, latents)
        self.log_gain, self.log_inverse_gain = nn.Parameter(steps.clone()), nn.Parameter(-steps.clone())

    def latent(self, residual: Tensor, quality: Tensor) -> Tensor:
        """(N, latents, H/16, W/16), not rounded, of (N, 3, H, W) in 0..1 at rate points (N,) int64."""
        return cast(Tensor, self.analysis(residual)) * self.log_gain[quality].exp()[:, :, None, None]

    def picture(self, latent: Tensor, quality: Tensor) -> Tensor:
        """(N, 3, H, W) decoded residual in about 0..1."""
        return cast(Tensor, self.synthesis(latent * self.log_inverse_gain[quality].exp()[:, :, None, None]))


def _down(before: int, after: int) -> nn.Conv2d:
    """A 5x5 convolution to half the size."""
    return nn.Conv2d(before, after, 5, stride=2, padding=2)


def _up(before: int, after: int) -> nn.ConvTranspose2d:
    """A transposed 5x5 convolution to twice the size."""
    return nn.ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1)
