"""Training of the enhancement layer (Eqs. 5-6): (20 MSE + SATD / 10) of the picture + l * bits a pixel, all rates in
one net. The squared error beside the paper's SATD is there for the reason that `streamproc.training.texture` gives."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.layers import GDN
from torch import Tensor, nn
from torch.nn import functional as F

from streamproc.codec.base_code import latent_prices
from streamproc.codec.integer_context import first_half
from streamproc.codec.networks import ResidualNet
from streamproc.codec.shape import HYPER_STRIDE, SHAPES, CodecShape
from streamproc.codec.weights import CodecWeights
from streamproc.training.alone import ALONE
from streamproc.training.base_parts import TrainedBase, trained_parts
from streamproc.training.data import load_faces
from streamproc.training.levels import multiples
from streamproc.training.loop import Plan, Progress, TrainResult, checkpoint_path, fit, load_trained
from streamproc.training.losses import satd
from streamproc.training.texture import usable
from streamproc.types import CROP_SIZE, Image

PART = "residual"
BIT_PRICES = (0.3, 0.15, 0.075, 0.0375, 0.019)
"""Distortion (pixels in 0..1) that one bit a pixel must save, one price a rate point, lowest rate first."""
SQUARED_WEIGHT = 20.0
SATD_WEIGHT = 0.1
PATCH = 128
MAX_FACES = 8000
"""Faces that are looked at: with their base pictures they take 3 GB."""
SMALLEST = 72
"""Side, in pixels, of the smallest crop that a camera's face is taken to fill: training pictures are shrunk to a size
between this and their own, and enlarged again, for the faces of surveillance are small."""


@dataclass(frozen=True, slots=True, eq=False)
class ResidualOutput:
    """A training pass: `decoded` (N, 3, H, W), `bits` (N,) estimated for latent and hyper-latent."""

    decoded: Tensor
    bits: Tensor


class Hyperprior(nn.Module):
    """The residual net with all that training needs beside it: the float hyper-synthesis and the entropy models."""

    def __init__(self, shape: CodecShape) -> None:
        super().__init__()
        n, m, width = shape.channels, shape.residual_latents, 2 * shape.channels
        self.side = CROP_SIZE // HYPER_STRIDE
        self.net = ResidualNet(n, m, shape.qualities, GDN)
        self.told = shape.split
        """Whether it has means and a context and is told the base's symbols; the paper's hyperprior has neither."""
        self.base = nn.Linear(shape.base_latents, n * self.side**2)
        nn.init.zeros_(self.base.weight)
        nn.init.zeros_(self.base.bias)
        first, second = (nn.ConvTranspose2d(n, n, 5, stride=2, padding=2, output_padding=1) for _ in range(2))
        last = nn.Conv2d(n, 2 * m, 3, padding=1)
        self.hyper_layers = (self.base, first, second, last)
        self.hyper_hidden = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        self.last = last
        known, mix = nn.Conv2d(m, width, 5, padding=2), nn.Conv2d(n, width, 1)
        out = nn.Conv2d(width, 2 * m, 1)
        nn.init.zeros_(out.weight)
        self.context = nn.ModuleList([known, mix, out] if self.told else [])
        self.context_layers = (known, mix, out) if self.told else None
        if not self.told:
            # What is not used is not trained either, and stays at zero.
            self.base.requires_grad_(False)
            for name in ("weight", "bias"):
                nn.init.zeros_(last.get_parameter(name)[m:])
        self.hyper_prior, self.prior = EntropyBottleneck(n), GaussianConditional(None)

    def forward(self, residual: Tensor, quality: Tensor, symbols: Tensor, corner: tuple[int, int]) -> ResidualOutput:
        """One pass over patches `residual` (N, 3, H, W) in 0..1 at `corner` (y, x; multiples of 64) of their crops,
        with rate points (N,) int64 and base symbols (N, D).

        The rates see noise for rounding, the picture rounded values, as if rounding had slope 1. Under autocast the
        convolutions run in bfloat16; latents and likelihoods stay float32, for they are the code.
        """
        latent = self.net.latent(residual, quality).float()
        hyper = self.net.hyper_analysis(latent).float()
        _, hyper_likelihood = self.hyper_prior(hyper)
        y, x = (edge // HYPER_STRIDE for edge in corner)
        known = self.base(symbols).float().reshape(len(symbols), -1, self.side, self.side)
        known = known[:, :, y : y + hyper.shape[2], x : x + hyper.shape[3]]
        scales, means = self._model(_rounded(hyper) + known, latent)
        _, likelihood = self.prior(latent, scales, means)
        bits = -(likelihood.log2().sum(dim=(1, 2, 3)) + hyper_likelihood.log2().sum(dim=(1, 2, 3)))
        return ResidualOutput(self.net.picture(_rounded(latent - means) + means, quality).float(), bits)

    def _model(self, hyper: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Scales and means (N, M, h, w) of the latent, those of its second half seeing the first (checkerboard); zero
        means where it is told nothing."""
        hidden = self.hyper_hidden(hyper)
        parameters = self.last(hidden).float()
        scales, means = parameters.chunk(2, dim=1)
        if not self.told:
            return scales, torch.zeros_like(scales)
        first = torch.from_numpy(first_half(latent.shape[-1])).to(latent.device)
        known, mix, out = self.context
        seen = (_rounded(latent - means) + means) * first
        added = out(F.relu(known(seen) + mix(hidden))).float() * ~first
        scales, means = (parameters + added).chunk(2, dim=1)
        return scales, means


def _rounded(values: Tensor) -> Tensor:
    """Rounded values whose gradient is that of the values."""
    return values + (values.round() - values).detach()


@dataclass(frozen=True, slots=True, eq=False)
class CodedFaces:
    """Training faces with their base layers: `crops` and `shown` (N, 3, 256, 256) uint8, `symbols` (N, D) float32."""

    crops: Tensor
    shown: Tensor
    symbols: Tensor


def as_cameras_see(crop: Image, chance: np.random.Generator) -> Image:
    """The crop (256, 256, 3) as if its face had filled fewer pixels: shrunk to a size between SMALLEST and its own
    (even on a logarithmic scale) and enlarged again."""
    side = round(float(np.exp(chance.uniform(np.log(SMALLEST), np.log(CROP_SIZE)))))
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_LINEAR), np.uint8)


def seen_crops(crops: Image, seed: int) -> Tensor:
    """(N, 3, 256, 256) uint8 of crops (N, 256, 256, 3), each as a camera may see it."""
    chance = np.random.default_rng(seed)
    seen = torch.empty((len(crops), 3, CROP_SIZE, CROP_SIZE), dtype=torch.uint8)
    for n, crop in enumerate(crops):
        seen[n] = torch.from_numpy(as_cameras_see(crop, chance)).permute(2, 0, 1)
    return seen


@torch.no_grad()
def coded_faces(crops: Tensor, features: Tensor, base: TrainedBase, progress: Progress) -> CodedFaces:
    """Crops (N, 3, 256, 256) uint8 with what their base layers say and show."""
    shown = torch.empty_like(crops)
    symbols: list[Tensor] = []
    costs, prices = -np.log2(base.expected()), latent_prices(base.trellis, base.shape)
    for i in range(0, len(crops), 32):
        said = multiples(base.latents(crops[i : i + 32], features[i : i + 32]), base.trellis, costs, prices)
        shown[i : i + 32] = (base.picture(said * base.trellis.unit) * 255).round().to(torch.uint8)
        symbols.append(said)
        progress("base pictures", min(i + 32, len(crops)), len(crops))
    return CodedFaces(crops, shown, torch.cat(symbols))


def uncoded_faces(crops: Tensor) -> CodedFaces:
    """Crops (N, 3, 256, 256) uint8 as if their base layers said and showed nothing."""
    shape = CodecShape()
    symbols = torch.zeros(len(crops), shape.base_latents)
    return CodedFaces(crops, torch.zeros_like(crops), symbols)


def train(
    faces: Path,
    work: Path,
    plan: Plan,
    progress: Progress,
    device: str = "cpu",
    alone: bool = False,
    profile: str = "default",
    kept: CodecWeights | None = None,
) -> TrainResult:
    """Trains the residual net on 128x128 patches of what the trained base layer of a profile (its identity coder
    that of `kept` where it has no run) leaves over; `alone`: of the faces themselves, for comparison."""
    torch.manual_seed(plan.seed)
    data = load_faces(faces)
    rows = usable(data)[:MAX_FACES]
    crops = seen_crops(data.crops[rows.numpy()], plan.seed)
    base = None if alone else trained_parts(work, profile, kept)
    features = base.features(data)[rows] if base else torch.empty(0)
    del data  # 4 GB that nothing needs any more
    coded = coded_faces(crops, features, base, progress) if base else uncoded_faces(crops)
    low, high = _ranges(coded)
    prices = torch.tensor(BIT_PRICES, device=device)
    net = Hyperprior(SHAPES[profile])
    if not net.told:
        _start_at_default(net, checkpoint_path(work.parent, PART))
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def losses(step: int) -> dict[str, Tensor]:
        chosen = torch.randint(len(coded.crops), (plan.batch,))
        y, x = (torch.randint((CROP_SIZE - PATCH) // HYPER_STRIDE + 1, (2,)) * HYPER_STRIDE).tolist()
        place = (chosen, slice(None), slice(y, y + PATCH), slice(x, x + PATCH))
        patch = coded.crops[place].float() - coded.shown[place].float()
        span = (high[chosen] - low[chosen]).clamp(min=1).to(device)
        scaled = (patch.to(device) - low[chosen].to(device)) / span
        quality = torch.randint(len(BIT_PRICES), (plan.batch,), device=device)
        with torch.autocast(scaled.device.type, torch.bfloat16):
            out = net(scaled, quality, coded.symbols[chosen].to(device), (y, x))
        error = (out.decoded - scaled) * span / 255
        squared = error.square().mean(dim=(1, 2, 3))
        rate = out.bits / PATCH**2
        total = SATD_WEIGHT * satd(error) + SQUARED_WEIGHT * squared + prices[quality] * rate
        best = quality == len(BIT_PRICES) - 1
        return {
            "loss": (total / prices[quality].sqrt()).mean(),
            "mse": squared.mean(),
            "bpp": rate.mean(),
            "mse_best": squared[best].mean() if best.any() else squared.min(),
            "bpp_best": rate[best].mean() if best.any() else rate.max(),
        }

    return fit(ALONE if alone else PART, net, losses, work, plan, progress)


def _start_at_default(net: Hyperprior, path: Path) -> None:
    """Nothing; `net`, which is told nothing, begins where the default profile's arrived, if that is in the same work
    folder: its nets for analysis and synthesis know residuals already."""
    if not path.exists():
        return
    there, here = torch.load(path, weights_only=True)["net"], net.state_dict()
    means = len(net.last.weight) // 2
    for name in ("last.weight", "last.bias"):
        there[name][means:] = 0
    # The base's symbols are others, and there is no context.
    fitting = {name: tensor for name, tensor in there.items() if name in here and not name.startswith("base.")}
    net.load_state_dict(fitting, strict=False)


def _ranges(coded: CodedFaces) -> tuple[Tensor, Tensor]:
    """(N, 1, 1, 1) float least and greatest differences of the crops and their base pictures."""
    rests = (crop.short() - shown.short() for crop, shown in zip(coded.crops, coded.shown, strict=True))
    ends = torch.tensor([(float(rest.min()), float(rest.max())) for rest in rests])
    return ends[:, 0, None, None, None], ends[:, 1, None, None, None]


def trained_residual(work: Path, part: str = PART, profile: str = "default") -> Hyperprior:
    """The residual net of a finished run, of PART or ALONE."""
    net = Hyperprior(SHAPES[profile])
    load_trained(net, work, part)
    return net
