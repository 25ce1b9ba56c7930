"""Training of the identity feature's coder (Eqs. 2-3).

L = ||f - f_rec||^2 + l * bits: the paper's l1 * ||c||_1 stands for the rate; here the learned entropy model gives the
rate itself.
"""

from pathlib import Path

import numpy as np
import torch
from compressai.entropy_models import EntropyBottleneck
from compressai.layers import GDN
from torch import Tensor, nn

from streamproc.codec.networks import FeatureCoder
from streamproc.codec.shape import CodecShape
from streamproc.codec.trellis import SIXTY_FOUR_STATES, Trellis
from streamproc.training.data import load_faces
from streamproc.training.levels import bin_likelihood, expected_costs, quantised
from streamproc.training.loop import Plan, Progress, TrainResult, fit, load_trained
from streamproc.types import FloatArray

PART = "feature"
BIT_PRICE = 1.5e-3
"""Squared distance of unit features that one bit must save."""
START_STEP = 0.06
"""Quantiser step of the Karhunen-Loeve start, in units of the feature."""


class CodedVector(nn.Module):
    """A feature coder and the entropy model of its latent."""

    def __init__(self, feature: int, latents: int, trellis: Trellis) -> None:
        super().__init__()
        self.trellis = trellis
        self.coder = FeatureCoder(feature, latents, GDN)
        self.prior = EntropyBottleneck(latents, init_scale=8)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """(decoded (N, feature), bits (N,)) with noise for rounding."""
        latent = self.coder.analyse(feature)
        noisy, likelihood = self.prior(latent[:, :, None, None])
        return self.coder.synthesise(noisy[:, :, 0, 0]), -likelihood.log2().sum(dim=(1, 2, 3))

    @torch.no_grad()
    def decoded(self, feature: Tensor) -> Tensor:
        """(N, feature) as the decoder will see it."""
        latents = self.coder.analyse(feature)
        costs = expected_costs(self.likelihood, latents.shape[1], self.trellis)
        return self.coder.synthesise(quantised(latents, self.trellis, costs))

    @torch.no_grad()
    def likelihood(self, values: Tensor) -> Tensor:
        """(N, latents) probabilities of the unit bins around (N, latents) values, by the entropy model."""
        return bin_likelihood(self.prior, values)


def identity_net(shape: CodecShape) -> CodedVector:
    """The identity coder of a codec of that shape, untrained."""
    return CodedVector(shape.identity, shape.identity_latents, SIXTY_FOUR_STATES)


def start_at_klt(coder: FeatureCoder, features: FloatArray, step: float = START_STEP) -> None:
    """Sets the linear path to the Karhunen-Loeve transform of `features` (N, D) with one uniform step: what training
    has to improve on."""
    mean = features.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(features, rowvar=False))
    basis = torch.from_numpy(np.ascontiguousarray(vectors[:, ::-1][:, : coder.linear_in.out_features].T)).float()
    centre = torch.from_numpy(mean).float()
    with torch.no_grad():
        coder.linear_in.weight.copy_(basis / step)
        coder.linear_in.bias.copy_(-(basis @ centre) / step)
        coder.linear_out.weight.copy_(basis.T * step)
        coder.linear_out.bias.copy_(centre)


def train(faces: Path, work: Path, plan: Plan, progress: Progress, device: str = "cpu") -> TrainResult:
    """Trains the identity coder on the raw features that `prepare` left in `faces`."""
    torch.manual_seed(plan.seed)
    data = load_faces(faces)
    features = data.features[~data.held_out()]
    net = identity_net(CodecShape())
    start_at_klt(net.coder, features)
    net.to(device)
    table = torch.from_numpy(features).to(device)

    def losses(step: int) -> dict[str, Tensor]:
        batch = table[torch.randint(len(table), (plan.batch,))]
        decoded, bits = net(batch)
        distortion = (decoded - batch).square().sum(dim=1).mean()
        rate = bits.mean()
        total = distortion + BIT_PRICE * rate
        return {"loss": total, "distortion": distortion, "bits": rate}

    return fit(PART, net, losses, work, plan, progress)


def trained_identity(work: Path) -> CodedVector:
    """The identity coder of a finished run."""
    net = identity_net(CodecShape())
    load_trained(net, work, PART)
    return net
