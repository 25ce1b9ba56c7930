"""Training of the multi-task feature's coder (Eq. 3): L = ||f - f_rec||^2 + l * bits + 0.5 * (20 MSE + SATD / 2) of the
32x32 picture that transposed convolutions make of the decoded feature.

The paper's 0.01 * SATD is of a sum in units of its own; here the weight is chosen so that both distortions count. l
follows the bits that are asked for, and the squared error stands beside SATD, for the reasons that
`streamproc.training.texture` gives. The coder starts as a Karhunen-Loeve transform whose steps are finer where the
picture is, the other net at the trunk's.
"""

from pathlib import Path

import numpy as np
import torch
from compressai.layers import GDN
from torch import Tensor, nn

from streamproc.codec.feature_pictures import StructureNet
from streamproc.codec.networks import FeatureCoder
from streamproc.codec.shape import SHAPES
from streamproc.training.data import load_faces
from streamproc.training.feature import start_at_klt
from streamproc.training.loop import Plan, Progress, TrainResult, fit, load_trained
from streamproc.training.losses import satd
from streamproc.training.texture import LogisticPrior
from streamproc.training.trunk import stored_features, trained_trunk
from streamproc.training.trunk_inputs import INPUTS, load_pictures

PART = "feature"
BITS = 340.0
"""Bits asked for, by the noisy estimate that training sees, which is a little above what rounding takes."""
FIRST_PRICE = 4e-4
PRICE_GAIN = 2e-5
"""As in `streamproc.training.texture`: what a bit must save at the start, and how fast that follows the bits."""
PICTURE_WEIGHT = 0.5
SQUARED_WEIGHT = 20.0
SATD_WEIGHT = 0.5


class StructuredVector(nn.Module):
    """The feature's coder with the entropy model of its latent and its way back to the picture."""

    price: Tensor

    def __init__(self) -> None:
        super().__init__()
        shape = SHAPES["paper"]
        self.coder = FeatureCoder(shape.identity, shape.identity_latents, GDN)
        self.prior = LogisticPrior(torch.ones(shape.identity_latents))
        self.structure = StructureNet(shape.identity)
        self.register_buffer("price", torch.tensor(FIRST_PRICE))

    @torch.no_grad()
    def start(self, features: Tensor, structure: StructureNet) -> None:
        """Nothing; the coder becomes the Karhunen-Loeve transform of features (N, 128). A direction's step is the finer
        the more an error in it would show, and all are as large as the bits that are asked for allow."""
        self.structure.load_state_dict(structure.state_dict())
        start_at_klt(self.coder, features.numpy(), 1.0)
        shown = (structure.linear.weight @ self.coder.linear_out.weight).square().mean(dim=0)
        weights = (1 + PICTURE_WEIGHT * SQUARED_WEIGHT * shown).sqrt()
        deviations = self.coder.analyse(features).std(dim=0) * weights
        least, most = 1e-4, 1.0
        for _ in range(40):
            step = (least * most) ** 0.5
            prior = LogisticPrior(deviations / step)
            sample = torch.randn(256, len(weights)) * deviations / step
            bits = float(-prior(sample + torch.rand_like(sample) - 0.5).log2().sum(dim=1).mean())
            least, most = (step, most) if bits > BITS else (least, step)
        self.prior = LogisticPrior(deviations / least)
        self.coder.linear_in.weight.mul_(weights[:, None] / least)
        self.coder.linear_in.bias.mul_(weights / least)
        self.coder.linear_out.weight.mul_(least / weights)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """(decoded (N, 128), bits (N,)) with noise for rounding."""
        latent = self.coder.analyse(feature)
        noisy = latent + torch.rand_like(latent) - 0.5
        return self.coder.synthesise(noisy), -self.prior(noisy).log2().sum(dim=1)

    @torch.no_grad()
    def rounded(self, feature: Tensor) -> Tensor:
        """(N, 128) as the decoder will see it."""
        return self.coder.synthesise(self.coder.analyse(feature).round())


def train(faces: Path, work: Path, plan: Plan, progress: Progress, device: str = "cpu") -> TrainResult:
    """Trains the coder on the multi-task features that `train trunk` left in `work`."""
    torch.manual_seed(plan.seed)
    rows = torch.from_numpy(np.flatnonzero(~load_faces(faces, crops=False).held_out()))
    features, pictures = stored_features(work), load_pictures(work / INPUTS)
    net = StructuredVector()
    net.start(features[rows], trained_trunk(work).structure)
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def losses(step: int) -> dict[str, Tensor]:
        chosen = rows[torch.randint(len(rows), (plan.batch,))]
        feature = features[chosen].to(device)
        decoded, bits = net(feature)
        distance = (decoded - feature).square().sum(dim=1).mean()
        # The picture's part costs nearly all of a step: a quarter of the faces bear it.
        seen = chosen[: plan.batch // 4]
        with torch.autocast(device, torch.bfloat16):
            shown = net.structure(decoded[: len(seen)]).float()
        error = shown - pictures[seen].to(device).float() / 255
        texture = SQUARED_WEIGHT * error.square().mean() + SATD_WEIGHT * satd(error).mean()
        rate = bits.mean()
        total = distance + PICTURE_WEIGHT * texture + net.price.clone() * rate
        net.price.mul_(torch.exp(PRICE_GAIN * (rate.detach() - BITS)))
        values = {"loss": total, "distance": distance, "mse": error.square().mean(), "bits": rate}
        return values | {"price": net.price.clone()}

    return fit(PART, net, losses, work, plan, progress)


def trained_structured(work: Path) -> StructuredVector:
    """The coder of a finished run."""
    net = StructuredVector()
    load_trained(net, work, PART)
    return net
