"""The trellis of the base layer in training: levels under what an entropy model expects, gradients past them."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from compressai.entropy_models import EntropyBottleneck
from torch import Tensor

from streamproc.codec.shape import LATENT_LIMIT
from streamproc.codec.trellis import Costs, Trellis

Likelihood = Callable[[Tensor], Tensor]
"""(N, D) probabilities of the unit bins around values (N, D)."""

LEVELS = np.arange(-LATENT_LIMIT, LATENT_LIMIT + 1, dtype=np.int32)
TINY = 1e-9
"""Probability that no level falls below: an unusual face must have a way through."""


@torch.no_grad()
def bin_likelihood(prior: EntropyBottleneck, values: Tensor) -> Tensor:
    """(N, C) probabilities of the unit bins around values (N, C), one a channel of the entropy model."""
    likelihood, _, _ = prior._likelihood(values.T[:, None])
    found: Tensor = likelihood[:, 0].T
    return found


@torch.no_grad()
def expected(likelihood: Likelihood, dimensions: int, trellis: Trellis) -> npt.NDArray[np.float64]:
    """(D * turns, 41) probabilities of the levels of each quantiser, as the entropy model of D dimensions has them."""
    points = torch.from_numpy(trellis.points(LEVELS)).float().reshape(-1, 1) * trellis.unit
    mass = (
        likelihood(points.expand(-1, dimensions))
        .double()
        .clamp(min=TINY)
        .reshape(trellis.turns, len(LEVELS), dimensions)
    )
    shares = (mass / mass.sum(dim=1, keepdim=True)).permute(2, 0, 1)
    found: npt.NDArray[np.float64] = shares.reshape(dimensions * trellis.turns, len(LEVELS)).numpy()
    return found


def expected_costs(likelihood: Likelihood, dimensions: int, trellis: Trellis) -> Costs:
    """(D * turns, 41) bits of the levels of each quantiser, as the entropy model has them."""
    costs: Costs = -np.log2(expected(likelihood, dimensions, trellis))
    return costs


def multiples(latents: Tensor, trellis: Trellis, costs: Costs, prices: npt.ArrayLike) -> Tensor:
    """(N, D) float32: which multiples of the trellis' unit the latents (N, D) become; `prices`: of one bit, by
    dimension or one for all."""
    levels = trellis.quantise(latents.detach().cpu().numpy(), costs, -LATENT_LIMIT, prices)
    return torch.from_numpy(trellis.multiples(levels)).to(latents)


def quantised(latents: Tensor, trellis: Trellis, costs: Costs) -> Tensor:
    """(N, D) as the decoder will see them; their gradient is that of the latents ("straight through")."""
    return latents + (multiples(latents, trellis, costs, trellis.price) * trellis.unit - latents).detach()
