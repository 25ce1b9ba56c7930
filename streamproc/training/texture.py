"""Training of the appearance net, its coder and the texture net (Eq. 4), end to end.

L = sum over three scales of (SATD(x_s, picture_s) + 10 MSE) + l * bits; the texture net is given the *decoded* identity
feature and the decoded appearance. The paper has SATD alone. In an 8x8 block the mean is one of 64 coefficients: with
SATD alone brightness and pose are hardly learned (11.7 dB after 120 steps, against 15.7 dB with MSE alone). Most steps
train the 64x64 level, which holds nearly all that a base layer can say; the last ones train all three.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from streamproc.codec.networks import AppearanceNet, CodecShape, TextureNet
from streamproc.training.data import TrainingFaces, load_faces
from streamproc.training.feature import CodedVector, trained_identity
from streamproc.training.loop import Plan, Progress, TrainResult, fit, load_trained
from streamproc.training.losses import satd, shrink

PART = "texture"
BIT_PRICE = 2e-4
"""Distortion (pixels in 0..1) that one bit of appearance must save."""
SQUARED_WEIGHT = 10.0
"""Weight of the mean squared error beside SATD."""
PRICE_WARM_UP = 0.5
"""Share of the steps in which the price rises from nothing: asked at once, an untrained net learns to say nothing."""
START_STEP = 0.25
"""Quantiser step that the appearance, whose dimensions have deviation 1, starts with."""
FINE_SHARE = 0.12
"""Share of the steps, the last ones, that train all three levels."""
FINE_BATCH = 16
MIN_VISIBLE = 0.97
"""Crops with more border than this say nothing about faces."""


class BaseNet(nn.Module):
    """Everything of the base layer that texture needs, as one net to train."""

    def __init__(self, shape: CodecShape) -> None:
        super().__init__()
        self.appearance = AppearanceNet(shape.appearance)
        self.coded = CodedVector(shape.appearance, shape.appearance_latents)
        with torch.no_grad():
            start = torch.eye(shape.appearance_latents, shape.appearance)
            self.coded.coder.linear_in.weight.copy_(start / START_STEP)
            self.coded.coder.linear_out.weight.copy_(start.T * START_STEP)
        self.texture = TextureNet(shape.identity + shape.appearance)

    def forward(self, identity: Tensor, small: Tensor, levels: int) -> tuple[list[Tensor], Tensor]:
        """(pictures of the levels, bits (N,)) with noise for rounding, from decoded identity features (N, 128) and
        crops (N, 3, 64, 64) in 0..1."""
        decoded, bits = self.coded(self.appearance(small))
        # The latent stays in float32: its rounding is the code. The pictures bear bfloat16, at twice the speed.
        with torch.autocast(small.device.type, torch.bfloat16):
            pictures = self.texture(torch.cat([identity, decoded], dim=1), levels)
        return [picture.float() for picture in pictures], bits

    @torch.no_grad()
    def picture(self, identity: Tensor, small: Tensor) -> Tensor:
        """(N, 3, 256, 256) in 0..1, as the decoder will show it."""
        decoded = self.coded.rounded(self.appearance(small))
        return torch.clamp(self.texture(torch.cat([identity, decoded], dim=1))[-1], 0, 1)


def usable(data: TrainingFaces) -> Tensor:
    """(K,) int64 indexes of the training faces (not held out) whose crops lie inside their pictures."""
    return torch.from_numpy((~data.held_out() & (data.visible >= MIN_VISIBLE)).nonzero()[0])


def as_pictures(crops: Tensor) -> Tensor:
    """(N, 3, H, W) float 0..1 of (N, H, W, 3) uint8."""
    return crops.permute(0, 3, 1, 2).float() / 255


def train(faces: Path, work: Path, plan: Plan, progress: Progress, device: str = "cpu") -> TrainResult:
    """Trains the base layer's texture path on the crops that `prepare` left in `faces`."""
    torch.manual_seed(plan.seed)
    data = load_faces(faces)
    identity_coder = trained_identity(work)
    identities = identity_coder.rounded(torch.from_numpy(data.features)).to(device)
    crops, rows = torch.from_numpy(data.crops), usable(data)
    small = torch.cat([shrink(as_pictures(crops[i : i + 512]), 64).half() for i in range(0, len(crops), 512)])
    net = BaseNet(CodecShape()).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    fine_from = int(plan.steps * (1 - FINE_SHARE))

    def losses(step: int) -> dict[str, Tensor]:
        fine = step >= fine_from
        chosen = rows[torch.randint(len(rows), (FINE_BATCH if fine else plan.batch,))]
        low = small[chosen].float().to(device)
        targets = [low]
        if fine:
            full = as_pictures(crops[chosen]).to(device)
            targets += [shrink(full, 128), full]
        if torch.rand(()) < 0.5:
            targets = [target.flip(-1) for target in targets]
        pictures, bits = net(identities[chosen], targets[0], len(targets))
        errors = [picture - target for picture, target in zip(pictures, targets, strict=True)]
        each = torch.stack([satd(error).mean() + SQUARED_WEIGHT * error.square().mean() for error in errors])
        distortion, rate = each.sum(), bits.mean()
        price = BIT_PRICE * min(1.0, step / (PRICE_WARM_UP * plan.steps))
        total = distortion + price * len(targets) * rate
        return {"loss": total, "mse64": errors[0].square().mean(), "bits": rate}

    return fit(PART, net, losses, work, plan, progress)


def trained_base(work: Path) -> BaseNet:
    """The texture path of a finished run."""
    net = BaseNet(CodecShape())
    load_trained(net, work, PART)
    return net
