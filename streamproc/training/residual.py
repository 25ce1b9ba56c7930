"""Training of the enhancement layer (Eqs. 5-6): SATD of the picture + l * bits per pixel, every rate point in one net."""

from pathlib import Path

import torch
from torch import Tensor

from streamproc.codec.networks import CodecShape, ResidualNet
from streamproc.training.data import load_faces
from streamproc.training.feature import trained_identity
from streamproc.training.loop import Plan, Progress, TrainResult, fit, load_trained
from streamproc.training.losses import satd, shrink
from streamproc.training.texture import as_pictures, trained_base, usable

PART = "residual"
BIT_PRICES = (0.2, 0.1, 0.05, 0.025, 0.0125)
"""SATD (pixels in 0..1) that one bit a pixel must save, one price a rate point, lowest rate first."""
PATCH = 128
MAX_FACES = 6000
"""Faces whose base pictures are made at the start: a patch of each is seen about once in a short run."""


def residual_net(shape: CodecShape) -> ResidualNet:
    """The residual net of a codec of that shape, untrained."""
    return ResidualNet(shape.channels, shape.residual_latents, shape.qualities)


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


def train(faces: Path, work: Path, plan: Plan, progress: Progress, device: str = "cpu") -> TrainResult:
    """Trains the residual net on 128x128 patches of what the trained base layer leaves over."""
    torch.manual_seed(plan.seed)
    data = load_faces(faces)
    rows = usable(data)[:MAX_FACES]
    rest = residuals(torch.from_numpy(data.crops)[rows], torch.from_numpy(data.features)[rows], work, progress)
    low = rest.flatten(1).min(dim=1).values.float()[:, None, None, None]
    high = rest.flatten(1).max(dim=1).values.float()[:, None, None, None]
    prices = torch.tensor(BIT_PRICES, device=device)
    net = residual_net(CodecShape()).to(device)

    def losses(step: int) -> dict[str, Tensor]:
        chosen = torch.randint(len(rest), (plan.batch,))
        y, x = torch.randint(rest.shape[-1] - PATCH + 1, (2,)).tolist()
        patch = rest[chosen, :, y : y + PATCH, x : x + PATCH].float()
        if torch.rand(()) < 0.5:
            patch = patch.flip(-1)
        span = (high[chosen] - low[chosen]).clamp(min=1).to(device)
        scaled = (patch.to(device) - low[chosen].to(device)) / span
        quality = torch.randint(len(BIT_PRICES), (plan.batch,), device=device)
        out = net(scaled, quality)
        distortion = satd((out.decoded - scaled) * span / 255)
        rate = out.bits / PATCH**2
        total = ((distortion + prices[quality] * rate) / prices[quality].sqrt()).mean()
        return {
            "loss": total,
            "satd": distortion.mean(),
            "bpp": rate.mean(),
            "bpp_low": rate[quality == 0].mean() if (quality == 0).any() else rate.min(),
        }

    return fit(PART, net, losses, work, plan, progress)


def trained_residual(work: Path) -> ResidualNet:
    """The residual net of a finished run."""
    net = residual_net(CodecShape())
    load_trained(net, work, PART)
    return net
