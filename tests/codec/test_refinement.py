"""Latents refined at encoding, and the slope that they go down."""

import numpy as np
import torch

from streamproc.codec.coding_nets import AppearanceAnalysis
from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.networks import TextureNet
from streamproc.codec.refinement import texture_slope
from streamproc.codec.weights import load_weights


def test_the_slope_is_autograds() -> None:
    torch.manual_seed(4)
    weights = load_weights("default")
    shape = weights.shape
    net = weights.fill(TextureNet(shape.identity, shape.appearance_latents), "texture")
    identity = torch.nn.functional.normalize(torch.randn(3, shape.identity), dim=1)
    latents = torch.randn(3, shape.appearance_latents, requires_grad=True)
    wanted = torch.rand(3, 3, 64, 64)
    half = (net(identity, latents, levels=1)[0] - wanted).square().sum() / 2
    (slope,) = torch.autograd.grad(half, latents)
    torch.testing.assert_close(texture_slope(net, identity, latents.detach(), wanted), slope, rtol=1e-3, atol=1e-3)
    assert float(slope.abs().mean()) > 1


def test_latents_that_went_down_the_slope_show_more() -> None:
    """Also of pictures that are no faces."""
    weights = load_weights("default")
    codec = FaceCodec.load("default")
    chance = np.random.default_rng(1)
    small = torch.from_numpy(chance.uniform(40, 200, (4, 3, 8, 8)).astype(np.float32))
    crops = torch.nn.functional.interpolate(small, 256, mode="bicubic").clamp(0, 255).permute(0, 2, 3, 1)
    features = torch.from_numpy(codec.base.drawn_features(4))
    net = AppearanceAnalysis(weights)
    with torch.inference_mode():
        identity = net.identity.analyse(features)
        said = (net.appearance(_small(crops)), net(crops, identity))
        before, after = ((_shown(net, identity, z) - _small(crops)).square().mean(dim=(1, 2, 3)) for z in said)
    assert (after < before).all()
    assert float(after.mean()) < 0.98 * float(before.mean())


def _small(crops: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(crops.permute(0, 3, 1, 2) / 255, 4)


def _shown(net: AppearanceAnalysis, identity: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    picture, _ = net.texture.coarsest(net.identity.synthesise(identity), latents)
    return picture
