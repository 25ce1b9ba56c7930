"""Training of the enhancement layer (Eqs. 5-6): (SATD + 10 MSE) of the picture + l * bits a pixel, all rates in one
net. The squared error beside the paper's SATD is there for the reason that `streamproc.training.texture` gives."""

from dataclasses import dataclass
from pathlib import Path

import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.layers import GDN
from torch import Tensor, nn

from streamproc.codec.networks import CodecShape, ResidualNet
from streamproc.training.alone import ALONE
from streamproc.training.data import load_faces
from streamproc.training.feature import trained_identity
from streamproc.training.loop import Plan, Progress, TrainResult, fit, load_trained
from streamproc.training.losses import satd, shrink
from streamproc.training.texture import SQUARED_WEIGHT, as_pictures, trained_base, usable

PART = "residual"
BIT_PRICES = (0.2, 0.1, 0.05, 0.025, 0.0125)
"""Distortion (pixels in 0..1) that one bit a pixel must save, one price a rate point, lowest rate first."""
PATCH = 128
MAX_FACES = 4000
"""Faces whose base pictures are made at the start: a patch of each is seen about once in a short run."""


@dataclass(frozen=True, slots=True, eq=False)
class ResidualOutput:
    """A training pass: `decoded` (N, 3, H, W), `bits` (N,) estimated for latent and hyper-latent."""

    decoded: Tensor
    bits: Tensor


class Hyperprior(nn.Module):
    """The residual net with all that training needs beside it: the float hyper-synthesis and the entropy models."""

    def __init__(self, shape: CodecShape) -> None:
        super().__init__()
        n = shape.channels
        self.net = ResidualNet(n, shape.residual_latents, shape.qualities, GDN)
        first, second = (nn.ConvTranspose2d(n, n, 5, stride=2, padding=2, output_padding=1) for _ in range(2))
        last = nn.Conv2d(n, shape.residual_latents, 3, padding=1)
        self.hyper_layers = (first, second, last)
        self.hyper_synthesis = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last, nn.ReLU())
        self.hyper_prior, self.prior = EntropyBottleneck(n), GaussianConditional(None)

    def forward(self, residual: Tensor, quality: Tensor) -> ResidualOutput:
        """One pass with noise for rounding; `residual` (N, 3, H, W) in 0..1, `quality` (N,) int64.

        Under autocast the convolutions run in bfloat16; latents and likelihoods stay float32, for they are the code.
        """
        latent = self.net.latent(residual, quality).float()
        hyper, hyper_likelihood = self.hyper_prior(self.net.hyper_analysis(latent.abs()).float())
        noisy, likelihood = self.prior(latent, self.hyper_synthesis(hyper).float())
        bits = -(likelihood.log2().sum(dim=(1, 2, 3)) + hyper_likelihood.log2().sum(dim=(1, 2, 3)))
        return ResidualOutput(self.net.picture(noisy, quality).float(), bits)


@torch.no_grad()
def residuals(crops: Tensor, features: Tensor, work: Path, progress: Progress) -> Tensor:
    """(N, 3, 256, 256) int16 differences of crops (N, 256, 256, 3) uint8 and what their base layers show."""
    identity, base = trained_identity(work), trained_base(work)
    parts = []
    for i in range(0, len(crops), 32):
        pictures = as_pictures(crops[i : i + 32])
        shown = base.picture(identity.rounded(features[i : i + 32]), shrink(pictures, 64))
        parts.append(((pictures - shown) * 255).round().to(torch.int16))
        progress("base pictures", min(i + 32, len(crops)), len(crops))
    return torch.cat(parts)


def train(
    faces: Path, work: Path, plan: Plan, progress: Progress, device: str = "cpu", alone: bool = False
) -> TrainResult:
    """Trains the residual net on 128x128 patches of what the trained base layer leaves over; `alone`: of the faces
    themselves, for comparison."""
    torch.manual_seed(plan.seed)
    data = load_faces(faces)
    rows = usable(data)[:MAX_FACES]
    crops, features = torch.from_numpy(data.crops)[rows], torch.from_numpy(data.features)[rows]
    rest = crops.permute(0, 3, 1, 2).to(torch.int16) if alone else residuals(crops, features, work, progress)
    low = rest.flatten(1).min(dim=1).values.float()[:, None, None, None]
    high = rest.flatten(1).max(dim=1).values.float()[:, None, None, None]
    prices = torch.tensor(BIT_PRICES, device=device)
    net = Hyperprior(CodecShape()).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def losses(step: int) -> dict[str, Tensor]:
        chosen = torch.randint(len(rest), (plan.batch,))
        y, x = torch.randint(rest.shape[-1] - PATCH + 1, (2,)).tolist()
        patch = rest[chosen, :, y : y + PATCH, x : x + PATCH].float()
        if torch.rand(()) < 0.5:
            patch = patch.flip(-1)
        span = (high[chosen] - low[chosen]).clamp(min=1).to(device)
        scaled = (patch.to(device) - low[chosen].to(device)) / span
        quality = torch.randint(len(BIT_PRICES), (plan.batch,), device=device)
        with torch.autocast(scaled.device.type, torch.bfloat16):
            out = net(scaled, quality)
        error = (out.decoded - scaled) * span / 255
        squared = error.square().mean(dim=(1, 2, 3))
        distortion = satd(error) + SQUARED_WEIGHT * squared
        rate = out.bits / PATCH**2
        total = ((distortion + prices[quality] * rate) / prices[quality].sqrt()).mean()
        return {
            "loss": total,
            "mse": squared.mean(),
            "bpp": rate.mean(),
            "bpp_low": rate[quality == 0].mean() if (quality == 0).any() else rate.min(),
        }

    return fit(ALONE if alone else PART, net, losses, work, plan, progress)


def trained_residual(work: Path, part: str = PART) -> Hyperprior:
    """The residual net of a finished run, of PART or ALONE."""
    net = Hyperprior(CodecShape())
    load_trained(net, work, part)
    return net
