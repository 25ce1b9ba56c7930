"""The base layer's training: where it starts, and what it says its bits are."""

import numpy as np
import torch

from streamproc.codec.shape import PICTURE_SIDE, CodecShape
from streamproc.codec.weights import load_weights
from streamproc.training.losses import shrink
from streamproc.training.residual import SMALLEST, as_cameras_see
from streamproc.training.texture import START_STEP, BaseNet, LogisticPrior, _in_decibels
from streamproc.training.varied import varied

LATENTS = 6


def pictures(count: int = 80) -> torch.Tensor:
    """(N, 3, 64, 64) mixtures of six smooth patterns, with amplitudes that fall from one to the next."""
    chance = torch.Generator().manual_seed(2)
    patterns = torch.nn.functional.interpolate(
        torch.rand(LATENTS, 3, 4, 4, generator=chance), PICTURE_SIDE, mode="bilinear"
    )
    amplitudes = torch.randn(count, LATENTS, generator=chance) * torch.tensor([0.3, 0.25, 0.2, 0.15, 0.1, 0.05])
    return 0.5 + torch.einsum("nk,kchw->nchw", amplitudes, patterns - patterns.mean())


def test_training_starts_at_the_klt() -> None:
    torch.manual_seed(0)
    seen = pictures()
    net = BaseNet(CodecShape(appearance_latents=LATENTS))
    net.start_at_klt(seen)
    net.eval()
    decoded = net.texture(torch.zeros(len(seen), 128), net.appearance(seen).round(), levels=1)[0]
    # Six coefficients say all of these pictures, but for a quantiser whose step gives step^2 / 12 for each of them.
    noise = LATENTS * START_STEP**2 / 12 / seen[0].numel()
    assert float((decoded - seen).square().mean().detach()) < 1.5 * noise
    assert float((seen - seen.mean(dim=0)).square().mean()) > 5 * noise


def test_training_further_starts_at_the_weights() -> None:
    torch.manual_seed(0)
    weights = load_weights("default")
    net = BaseNet(weights.shape)
    net.start_at(weights, pictures())
    net.eval()
    seen = pictures(2)
    shown = net.picture(torch.zeros(2, 128), net.appearance(seen).round())
    assert float((shrink(shown, PICTURE_SIDE) - seen).square().mean()) < 0.02
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_errors_in_decibels_add_up_to_the_mean_psnr() -> None:
    squared = torch.tensor([0.002, 0.02, 0.005], requires_grad=True)
    _in_decibels(squared).sum().backward()  # type: ignore[no-untyped-call]
    assert squared.grad is not None
    # The slope of each is that of its logarithm; where all are alike, that of the error itself.
    torch.testing.assert_close(squared.grad * squared.detach(), squared.detach().log().mean().exp().expand(3))
    alike = torch.full((3,), 0.01)
    torch.testing.assert_close(_in_decibels(alike), alike)


def test_the_prior_is_a_distribution_near_the_latents() -> None:
    prior = LogisticPrior(torch.tensor([0.5, 2.0, 4.0]))
    density = prior(torch.arange(-20.0, 21.0)[:, None].expand(-1, 3)).T
    assert density.shape == (3, 41)
    torch.testing.assert_close(density.sum(dim=1), torch.ones(3), atol=0.02, rtol=0)
    assert (density.argmax(dim=1) == 20).all()
    # A unit bin of a wider distribution holds less.
    assert (density[:, 20].diff() < 0).all()


def test_every_picture_level_is_the_one_below_until_trained() -> None:
    torch.manual_seed(0)
    net = BaseNet(CodecShape(appearance_latents=LATENTS))
    net.start_at_klt(pictures())
    coarse, middle, fine = net.eval().texture(torch.randn(2, 128), torch.randn(2, LATENTS).round())
    assert [p.shape[-1] for p in (coarse, middle, fine)] == [64, 128, 256]
    torch.testing.assert_close(
        torch.nn.functional.avg_pool2d(fine, 4)[..., 4:-4, 4:-4], coarse[..., 4:-4, 4:-4], atol=0.02, rtol=0.02
    )


def test_as_cameras_see_keeps_the_face_and_loses_detail() -> None:
    chance = np.random.default_rng(3)
    crop = chance.integers(0, 256, (256, 256, 3), np.uint8)
    crop[:, :128] = 40
    seen = as_cameras_see(crop, chance)
    assert seen.shape == crop.shape
    assert seen.dtype == np.uint8
    assert abs(seen[:, :100].astype(float) - 40).max() <= 1
    assert seen[:, 150:].std() < 0.9 * crop[:, 150:].std()
    assert SMALLEST < 256


def test_varied_pictures_are_near_the_ones_they_came_from() -> None:
    torch.manual_seed(5)
    seen = torch.nn.functional.interpolate(pictures(40), 2 * PICTURE_SIDE, mode="bilinear").clamp(0, 1)
    made = varied(seen, PICTURE_SIDE)
    assert made.shape == (40, 3, PICTURE_SIDE, PICTURE_SIDE)
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1
    plain = shrink(seen, PICTURE_SIDE)
    nearest = torch.minimum((made - plain).square().mean((1, 2, 3)), (made - plain.flip(-1)).square().mean((1, 2, 3)))
    others = (made - plain.roll(1, 0)).square().mean((1, 2, 3))
    assert float(nearest.median()) < 0.5 * float(others.median())
    assert float(nearest.min()) > 0
