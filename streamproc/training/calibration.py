"""Calibration: similarities of labelled faces to a likelihood ratio."""

import numpy as np
import torch

from streamproc.codec.calibration import Calibration
from streamproc.training.data import NO_IDENTITY, TrainingFaces
from streamproc.types import Array, FloatArray

STEPS = 400
MAX_STRANGERS = 400_000


def pair_similarities(features: FloatArray, identities: Array) -> tuple[FloatArray, FloatArray]:
    """(similarities of pairs of one person, of pairs of two people): every pair of unit features (N, D) with known
    identities (N,)."""
    known = identities != NO_IDENTITY
    features, identities = features[known], identities[known]
    rows, columns = np.triu_indices(len(features), 1)
    similarity = (features @ features.T)[rows, columns]
    same = identities[rows] == identities[columns]
    return similarity[same], similarity[~same]


def calibrate(decoded: FloatArray, data: TrainingFaces, seed: int = 1) -> Calibration:
    """The logistic fit of decoded features (N, 128) of labelled faces, the two classes weighing the same.

    A third number, the share of wrong labels, is fitted beside slope and offset and thrown away: without it a few
    mislabelled pairs flatten the slope.
    """
    same, other = pair_similarities(decoded, data.identities)
    other = np.random.default_rng(seed).choice(other, min(len(other), MAX_STRANGERS), replace=False)
    positive, negative = torch.from_numpy(same).double(), torch.from_numpy(other).double()
    numbers = torch.tensor([20.0, -8.0, -4.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([numbers], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        slope, offset = numbers[0], numbers[1]
        wrong = torch.sigmoid(numbers[2]) / 2
        likely = wrong + (1 - 2 * wrong) * torch.sigmoid(slope * positive + offset)
        unlikely = wrong + (1 - 2 * wrong) * torch.sigmoid(-slope * negative - offset)
        loss = -(likely.log().mean() + unlikely.log().mean())
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    slope, offset, _ = numbers.detach().tolist()
    return Calibration(slope, offset)
