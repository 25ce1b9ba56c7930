"""Training of the appearance net and the texture net (Eq. 4), end to end.

L = sum over three scales of (20 MSE + SATD / 2) + l * bits, on pictures as they are with the squared error of each on
a logarithmic scale, for their mean PSNR; the texture net is given the *decoded* identity feature and
the quantised latents. The paper has SATD alone; in an 8x8 block the mean is one of 64 coefficients, so with SATD alone
brightness and pose are hardly learned. l follows the bits: it rises while there are more than asked for and falls
while there are fewer. Both nets start at the Karhunen-Loeve transform of the training pictures, which is then what
they have to improve on. Most steps train the 64x64 level, which holds nearly all that a base layer can say, on varied
pictures first and then on pictures as they are; the last ones all three levels.
"""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamproc.codec.networks import AppearanceNet, TextureNet
from streamproc.codec.shape import PICTURE_SIDE, CodecShape
from streamproc.codec.trellis import SIXTY_FOUR_STATES
from streamproc.codec.weights import CodecWeights
from streamproc.training.data import TrainingFaces, load_faces
from streamproc.training.feature import decoded_features, trained_identity
from streamproc.training.levels import expected_costs, quantised
from streamproc.training.loop import Plan, Progress, TrainResult, fit, load_trained
from streamproc.training.losses import satd, shrink
from streamproc.training.varied import varied

PART = "texture"
BITS = 211.0
"""Bits of appearance asked for, by the noisy estimate that training sees; the trellis takes some 5 % less."""
FORGET = 0.15
"""Share of the identity's numbers that a step leaves out: each training face has an identity of its own, by which
the texture net would otherwise know it by heart."""
SQUARED_WEIGHT = 20.0
SATD_WEIGHT = 0.5
FURTHER_SHARE = 0.5
"""The rate that nets learn at which begin at shipped weights, relative to that of new ones."""
FIRST_PRICE = 2e-5
"""Mean squared error (pixels in 0..1) that one bit of appearance must save, at the start."""
PRICE_GAIN = 2e-5
"""Relative change of the price for each bit too many, a step."""
START_STEP = 2.0
"""Quantiser step that the Karhunen-Loeve coefficients start with, in units of the 64x64 picture's vector."""
VARIED_SHARE = 0.6
"""Share of the steps, the first ones, whose pictures are varied: longer, and faces as they are stay underfitted."""
FINE_SHARE = 0.06
"""Share of the steps, the last ones, that train all three levels."""
FINE_BATCH = 16
MIDDLE = 2 * PICTURE_SIDE
"""Side of the pictures that are turned and zoomed: enough for the 64x64 level."""
COMMON_SET = "celeba/"
"""Faces of all other sets are seen twice as often: four in five faces are of this one, and the rarer ones, more
various, were shown worse than by principal components (docs/training.md)."""
MIN_VISIBLE = 0.97
"""Crops with more border than this say nothing about faces."""


class LogisticPrior(nn.Module):
    """A mixture of three logistic distributions for each latent, integrated over each integer's bin."""

    def __init__(self, deviations: Tensor) -> None:
        """`deviations` (D,): of the latents as training begins."""
        super().__init__()
        scales = deviations[:, None] * torch.tensor([0.25, 0.5, 1.0])
        self.log_scales = nn.Parameter(scales.clamp(min=0.1).log())
        self.means, self.weights = nn.Parameter(torch.zeros_like(scales)), nn.Parameter(torch.zeros_like(scales))

    def forward(self, latents: Tensor) -> Tensor:
        """(N, D) probabilities of the unit bins around (N, D) values."""
        away, scales = latents[:, :, None] - self.means, self.log_scales.exp()
        inside = torch.sigmoid((away + 0.5) / scales) - torch.sigmoid((away - 0.5) / scales)
        likely: Tensor = (inside * self.weights.softmax(dim=1)).sum(dim=2)
        return likely.clamp(min=1e-9)


class BaseNet(nn.Module):
    """Everything of the base layer that texture needs, as one net to train."""

    price: Tensor

    def __init__(self, shape: CodecShape) -> None:
        super().__init__()
        self.appearance = AppearanceNet(shape.appearance_latents)
        self.prior = LogisticPrior(torch.ones(shape.appearance_latents))
        self.texture = TextureNet(shape.identity, shape.appearance_latents)
        self.register_buffer("price", torch.tensor(FIRST_PRICE))

    def start_at_klt(self, small: Tensor) -> None:
        """Nothing; the linear paths become the Karhunen-Loeve transform of (N, 3, 64, 64) pictures."""
        flat = small.flatten(1).float()
        mean = flat.mean(dim=0)
        count = self.appearance.linear.out_features
        _, _, basis = torch.svd_lowrank(flat - mean, q=count + 64, niter=2)
        basis = basis[:, :count]
        self.prior = LogisticPrior(((flat - mean) @ basis).std(dim=0) / START_STEP)
        with torch.no_grad():
            self.appearance.linear.weight.copy_(basis.T / START_STEP)
            self.appearance.linear.bias.copy_(-(basis.T @ mean) / START_STEP)
            self.texture.linear.weight.copy_(basis * START_STEP)
            self.texture.linear.bias.copy_(mean)

    def start_at(self, weights: CodecWeights, small: Tensor) -> None:
        """Nothing; the nets become those of `weights`, the entropy model what (N, 3, 64, 64) pictures make likely."""
        weights.fill(self.appearance, "appearance").requires_grad_(True)
        weights.fill(self.texture, "texture").requires_grad_(True)
        with torch.no_grad():
            latents = torch.cat([self.appearance(part) for part in torch.split(small, 512)])
        self.prior = LogisticPrior(latents.std(dim=0))

    def forward(self, identity: Tensor, small: Tensor, levels: int) -> tuple[list[Tensor], Tensor]:
        """(pictures of the levels, bits (N,)) from decoded identity features (N, 128) and crops (N, 3, 64, 64) in 0..1.

        The rate sees noise for the trellis, the picture what comes through it, as if that had slope 1.
        """
        latents = self.appearance(small)
        bits = -self.prior(latents + torch.rand_like(latents) - 0.5).log2().sum(dim=1)
        rounded = quantised(latents, SIXTY_FOUR_STATES, expected_costs(self.prior, latents.shape[1], SIXTY_FOUR_STATES))
        # The latent stays in float32: its levels are the code. The pictures bear bfloat16, at twice the speed.
        with torch.autocast(small.device.type, torch.bfloat16):
            pictures = self.texture(F.dropout(identity, FORGET, self.training), rounded, levels)
        return [picture.float() for picture in pictures], bits

    @torch.no_grad()
    def picture(self, identity: Tensor, latents: Tensor) -> Tensor:
        """(N, 3, 256, 256) in 0..1, as the decoder will show it."""
        return torch.clamp(self.texture(identity, latents)[-1], 0, 1)


def usable(data: TrainingFaces) -> Tensor:
    """(K,) int64 indexes of the training faces (not held out) whose crops lie inside their pictures."""
    return torch.from_numpy((~data.held_out() & (data.visible >= MIN_VISIBLE)).nonzero()[0])


def _balanced(rows: Tensor, data: TrainingFaces) -> Tensor:
    """The rows, those of faces outside the common set twice."""
    rare = torch.tensor([not name.startswith(COMMON_SET) for name in data.names[rows.numpy()]])
    return torch.cat([rows, rows[rare]])


def _in_decibels(squared: Tensor) -> Tensor:
    """What to add up over pictures in place of their squared errors (N,), so that their mean PSNR is what rises; of the
    same size and slope where the errors are all alike."""
    usual = squared.detach().log().mean()
    return usual.exp() * (1 + squared.log() - usual)


def as_pictures(crops: Tensor) -> Tensor:
    """(N, 3, H, W) float 0..1 of (N, H, W, 3) uint8."""
    return as_floats(crops.permute(0, 3, 1, 2))


def as_floats(pictures: Tensor) -> Tensor:
    """Pictures in 0..1, of uint8."""
    return pictures.float() / 255


def _middle(crops: Tensor) -> Tensor:
    """(N, 3, 128, 128) uint8 of crops (N, 256, 256, 3) uint8."""
    return (shrink(as_pictures(crops), MIDDLE) * 255).round().to(torch.uint8)


def _mirrored(pictures: Tensor) -> Tensor:
    """(N, 3, H, W), about half of them mirrored."""
    turned = (torch.rand(len(pictures), 1, 1, 1) < 0.5).to(pictures.device)
    return torch.where(turned, pictures.flip(-1), pictures)


def train(
    faces: Path, work: Path, plan: Plan, progress: Progress, device: str = "cpu", kept: CodecWeights | None = None
) -> TrainResult:
    """Trains the base layer's texture path on the crops that `prepare` left in `faces`; where `kept` is given from its
    nets on, and with its identity coder where that has no run."""
    torch.manual_seed(plan.seed)
    data = load_faces(faces)
    identities = decoded_features(trained_identity(work, kept), torch.from_numpy(data.features)).to(device)
    crops, rows = torch.from_numpy(data.crops), usable(data)
    middle = torch.cat([_middle(crops[i : i + 512]) for i in range(0, len(crops), 512)])
    net = BaseNet(CodecShape())
    small = torch.cat([shrink(as_floats(middle[part]), PICTURE_SIDE) for part in torch.split(rows, 512)])
    if kept is None:
        net.start_at_klt(small)
    else:
        net.start_at(kept, small)
        plan = replace(plan, rate=plan.rate * FURTHER_SHARE)
    del small
    seen = _balanced(rows, data)
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    plain_from, fine_from = int(plan.steps * VARIED_SHARE), int(plan.steps * (1 - FINE_SHARE))

    def losses(step: int) -> dict[str, Tensor]:
        fine = step >= fine_from
        plain = step >= plain_from
        chosen = seen[torch.randint(len(seen), (FINE_BATCH if fine else plan.batch,))]
        if fine:
            full = _mirrored(as_pictures(crops[chosen]).to(device))
            targets = [shrink(full, PICTURE_SIDE), shrink(full, MIDDLE), full]
        else:
            pictures = as_floats(middle[chosen]).to(device)
            targets = [shrink(_mirrored(pictures), PICTURE_SIDE) if plain else varied(pictures, PICTURE_SIDE)]
        shown, bits = net(identities[chosen], targets[0], len(targets))
        errors = [picture - target for picture, target in zip(shown, targets, strict=True)]
        squared = [error.square().mean(dim=(1, 2, 3)) for error in errors]
        weighed = [_in_decibels(values) if plain else values for values in squared]
        each = [
            SATD_WEIGHT * satd(error).mean() + SQUARED_WEIGHT * values.mean()
            for error, values in zip(errors, weighed, strict=True)
        ]
        rate = bits.mean()
        total = torch.stack(each).sum() + SQUARED_WEIGHT * net.price.clone() * len(targets) * rate
        net.price *= torch.exp(PRICE_GAIN * (rate.detach() - BITS))
        return {"loss": total, "mse64": squared[0].mean(), "bits": rate, "price": net.price.clone()}

    return fit(PART, net, losses, work, plan, progress)


def trained_base(work: Path) -> BaseNet:
    """The texture path of a finished run."""
    net = BaseNet(CodecShape())
    load_trained(net, work, PART)
    return net
