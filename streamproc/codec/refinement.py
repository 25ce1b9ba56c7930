"""Appearance's latents refined at encoding, by what the decoder would show of them (semi-amortised inference, Kim et
al. 2018; for pictures Campos et al. 2019): a net that sees a face once does not find its best latents.

One step down the slope of the coarsest picture's error brings 0.12 dB in fewer bits (docs/decisions.md). The slope
is the texture net run backwards, written out layer by layer: OpenVINO, which a CPU encodes with, knows no gradients.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamproc.codec.networks import AppearanceNet, TextureNet
from streamproc.codec.shape import LATENT_LIMIT

STEP = 0.15
"""How far the step goes, in slopes: a third of the way to the least error, were the latents independent."""


def refined_latents(appearance: AppearanceNet, texture: TextureNet, identity: Tensor, small: Tensor) -> Tensor:
    """(N, latents) within +-20, not rounded, of crops (N, 3, 64, 64) in 0..1 and their decoded features (N, 128): those
    that the appearance net gives, one step nearer to what shows the crops. Both nets in evaluation."""
    latents = appearance(small)
    step = STEP * texture_slope(texture, identity, latents, small)
    return torch.clamp(latents - step, -LATENT_LIMIT, LATENT_LIMIT)


def texture_slope(net: TextureNet, identity: Tensor, latents: Tensor, wanted: Tensor) -> Tensor:
    """(N, latents) slopes of half the squared error of the 64x64 pictures: what autograd gives."""
    picture, (first, second, third, hidden, fourth, last) = net.coarsest(identity, latents)
    error = picture - wanted
    at_last = _back(net.to_rgb[0], F.pixel_unshuffle(error, 2)) * (last > 0)
    at_guide = F.pixel_shuffle(_back(net.guides[2], at_last), 2)
    at_third = _back(net.blocks[3], at_last * (fourth > 0))
    at_third = at_third + _back(net.refine[0], _back(net.refine[2], at_third) * (hidden > 0))
    at_guide = at_guide + _spread(_back(net.guides[1], at_third), 4)
    at_second = _back(net.blocks[2], at_third * (third > 0))
    at_guide = at_guide + _spread(_back(net.guides[0], at_second), 8)
    at_first = _back(net.blocks[1], at_second * (second > 0))
    at_code = _back(net.blocks[0], at_first * (first > 0))[:, identity.shape[1] :, 0, 0]
    return at_code / 2 + (error + 2 * at_guide).flatten(1) @ net.linear.weight


def _back(layer: nn.Module, slope: Tensor) -> Tensor:
    """The slope at a layer's input from that at its output; what is not linear, the ReLUs, is the caller's to mask."""
    if isinstance(layer, nn.Conv2d):
        return F.conv_transpose2d(slope, layer.weight, None, layer.stride, layer.padding)  # type: ignore[arg-type]
    if isinstance(layer, nn.ConvTranspose2d):
        return F.conv2d(slope, layer.weight, None, layer.stride, layer.padding)
    if isinstance(layer, nn.BatchNorm2d):
        spread = (layer.get_buffer("running_var") + layer.eps).rsqrt()
        return slope * (layer.weight * spread)[:, None, None]
    if isinstance(layer, nn.Sequential):
        for inner in reversed(layer):
            slope = _back(inner, slope)
    return slope


def _spread(slope: Tensor, side: int) -> Tensor:
    """The slope at what an average over squares of that side was taken of."""
    return F.interpolate(slope, scale_factor=side, mode="nearest") / side**2
