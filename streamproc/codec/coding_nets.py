"""The trained nets put together as coding uses them, pictures in and out as numpy has them: what OpenVINO is given."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamproc.codec.feature_pictures import LaplacianNet
from streamproc.codec.networks import AppearanceNet, FeatureCoder, ResidualNet, TextureNet
from streamproc.codec.refinement import refined_latents
from streamproc.codec.shape import PICTURE_SIDE
from streamproc.codec.weights import CodecWeights


class IdentityAnalysis(nn.Module):
    """Raw features (N, 128) -> the base's first latents, identity's (N, D), not rounded."""

    def __init__(self, weights: CodecWeights) -> None:
        super().__init__()
        self.identity = _identity_coder(weights)

    def forward(self, features: Tensor) -> Tensor:
        """The latents."""
        return self.identity.analyse(features)


class AppearanceAnalysis(nn.Module):
    """Crops (N, 256, 256, 3) uint8 and identity's latents (N, 64) -> appearance's latents (N, D), not rounded."""

    def __init__(self, weights: CodecWeights) -> None:
        super().__init__()
        shape = weights.shape
        self.identity = _identity_coder(weights)
        self.appearance = weights.fill(AppearanceNet(shape.appearance_latents), "appearance")
        self.texture = weights.fill(TextureNet(shape.identity, shape.appearance_latents), "texture")

    def forward(self, crops: Tensor, identity: Tensor) -> Tensor:
        """The latents."""
        pictures = _channels_first(crops) / 255
        small = F.avg_pool2d(pictures, pictures.shape[-1] // PICTURE_SIDE)
        return refined_latents(self.appearance, self.texture, self.identity.synthesise(identity), small)


class IdentitySynthesis(nn.Module):
    """The identity's symbols (N, 64) -> features (N, 128) of unit norm."""

    def __init__(self, weights: CodecWeights) -> None:
        super().__init__()
        self.identity = _identity_coder(weights)

    def forward(self, symbols: Tensor) -> Tensor:
        """The features."""
        return F.normalize(self.identity.synthesise(symbols), dim=1)


class BaseSynthesis(nn.Module):
    """All symbols of a base layer (N, D) -> pictures (N, 256, 256, 3) uint8."""

    def __init__(self, weights: CodecWeights) -> None:
        super().__init__()
        shape = weights.shape
        self.latents = shape.identity_latents
        self.identity = _identity_coder(weights)
        self.texture = weights.fill(TextureNet(shape.identity, shape.appearance_latents), "texture")

    def forward(self, symbols: Tensor) -> Tensor:
        """The pictures."""
        identity = self.identity.synthesise(symbols[:, : self.latents])
        return _as_pixels(self.texture(identity, symbols[:, self.latents :])[-1] * 255)


class IdentityPicture(nn.Module):
    """All symbols of a base layer without appearance (N, D) -> pictures (N, 256, 256, 3) uint8."""

    def __init__(self, weights: CodecWeights) -> None:
        super().__init__()
        self.identity = _identity_coder(weights)
        self.texture = weights.fill(LaplacianNet(weights.shape.identity), "texture")

    def forward(self, symbols: Tensor) -> Tensor:
        """The pictures."""
        return _as_pixels(self.texture(self.identity.synthesise(symbols))[-1] * 255)


class ResidualAnalysis(nn.Module):
    """Residuals (N, 256, 256, 3) in 0..1 at rate points (N,) int64 -> latents (N, M, 16, 16) and hyper-latents
    (N, C, 4, 4), not rounded."""

    def __init__(self, weights: CodecWeights) -> None:
        super().__init__()
        self.net = _residual_net(weights)

    def forward(self, residual: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Latent and hyper-latent."""
        latent = self.net.latent(_channels_first(residual), quality)
        return latent, self.net.hyper_analysis(latent)


class ResidualSynthesis(nn.Module):
    """Latents (N, M, 16, 16) at rate points (N,) int64 -> residuals (N, 256, 256, 3) in 0..1."""

    def __init__(self, weights: CodecWeights) -> None:
        super().__init__()
        self.net = _residual_net(weights)

    def forward(self, latent: Tensor, quality: Tensor) -> Tensor:
        """The residuals."""
        return self.net.picture(latent, quality).clamp(0, 1).permute(0, 2, 3, 1)


def _identity_coder(weights: CodecWeights) -> FeatureCoder:
    shape = weights.shape
    return weights.fill(FeatureCoder(shape.identity, shape.identity_latents), "identity")


def _residual_net(weights: CodecWeights) -> ResidualNet:
    shape = weights.shape
    return weights.fill(ResidualNet(shape.channels, shape.residual_latents, shape.qualities), "residual")


def _channels_first(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) float of (N, H, W, 3)."""
    return pictures.permute(0, 3, 1, 2).float()


def _as_pixels(pictures: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 of (N, 3, H, W) in about 0..255."""
    return torch.round(pictures.clamp(0, 255)).permute(0, 2, 3, 1).to(torch.uint8)
