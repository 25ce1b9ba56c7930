"""Training of the identity feature's coder (Eqs. 2-3).

L = ||f - f_rec||^2 + l * bits: the paper's l1 * ||c||_1 stands for the rate; here the learned entropy model gives the
rate itself.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from compressai.entropy_models import EntropyBottleneck
from compressai.layers import GDN
from torch import Tensor, nn

from streamproc.codec.base_code import BaseCode
from streamproc.codec.code_tables import TOTAL
from streamproc.codec.networks import FeatureCoder
from streamproc.codec.shape import CodecShape
from streamproc.codec.trellis import SIXTY_FOUR_STATES, Trellis
from streamproc.codec.weights import CodecWeights
from streamproc.training.data import load_faces
from streamproc.training.levels import bin_likelihood, expected, quantised
from streamproc.training.loop import Plan, Progress, TrainResult, checkpoint_path, fit, load_trained
from streamproc.types import FloatArray

PART = "feature"
BIT_PRICE = 1.5e-3
"""Squared distance of unit features that one bit must save."""
START_STEP = 0.06
"""Quantiser step of the Karhunen-Loeve start, in units of the feature."""


class IdentityCoder(Protocol):
    """A trained feature coder with the quantiser of its latents."""

    coder: FeatureCoder
    trellis: Trellis

    def expected(self) -> npt.NDArray[np.float64]:
        """(latents * turns, 41) probabilities of the levels."""
        ...


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

    def expected(self) -> npt.NDArray[np.float64]:
        """(latents * turns, 41) probabilities of the levels, by the entropy model."""
        return expected(lambda values: bin_likelihood(self.prior, values), self.prior.channels, self.trellis)


class KeptIdentity:
    """The identity coder of a weights file, its code tables for an entropy model."""

    def __init__(self, weights: CodecWeights) -> None:
        """Raises WeightsError."""
        self._code, latents = BaseCode.of(weights), weights.shape.identity_latents
        self.trellis = self._code.trellis
        self._rows = latents * self.trellis.turns
        self.coder = weights.fill(FeatureCoder(weights.shape.identity, latents), "identity")

    def expected(self) -> npt.NDArray[np.float64]:
        """(latents * turns, 41) probabilities of the levels, as the tables have them."""
        return np.diff(self._code.tables.cdf[: self._rows], axis=1) / TOTAL


@torch.no_grad()
def decoded_features(identity: IdentityCoder, features: Tensor) -> Tensor:
    """(N, feature) features (N, feature) as the decoder will see them."""
    latents = identity.coder.analyse(features)
    return identity.coder.synthesise(quantised(latents, identity.trellis, -np.log2(identity.expected())))


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


def trained_identity(work: Path, kept: CodecWeights | None = None) -> IdentityCoder:
    """The identity coder of a finished run; where there is none, that of `kept`. Raises WeightsError without either."""
    if kept is not None and not checkpoint_path(work, PART).exists():
        return KeptIdentity(kept)
    net = identity_net(CodecShape())
    load_trained(net, work, PART)
    return net
