"""Calibration: similarities of labelled faces, one asked about and one archived, to a likelihood ratio."""

from collections.abc import Iterable

import numpy as np
import torch

from streamproc.codec.calibration import Calibration
from streamproc.training.data import NO_IDENTITY
from streamproc.types import Array, FloatArray

STEPS = 400
MIN_GROUP = 40
"""Faces under which a group's pairs are too few to fit on."""
GROUPED = "mebeauty"
"""The set whose names tell sex and ethnic group: <sex>_<group>_<name>."""


def pair_similarities(
    features: FloatArray, identities: Array, asked: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """(similarities of pairs of one person, of pairs of two people): every pair of unit features (N, D) with known
    identities (N,); the one of a pair as it is in `asked` (N, D), where given."""
    known = identities != NO_IDENTITY
    similarity = _once((features if asked is None else asked)[known] @ features[known].T)
    identities = identities[known]
    rows, columns = np.triu_indices(len(identities), 1)
    same = identities[rows] == identities[columns]
    return similarity[same], similarity[~same]


def _once(similarities: FloatArray) -> FloatArray:
    """(P,) every pair once, of a matrix (N, N)."""
    pairs: FloatArray = similarities[np.triu_indices(len(similarities), 1)]
    return pairs


def accepted_share(same: FloatArray, other: FloatArray, false_alarms: float = 1e-3) -> float:
    """TAR at FAR: the share of the similarities of one person above the one that so small a share of `other`, those of
    two people, reaches."""
    return float((same > np.quantile(other, 1 - false_alarms)).mean())


def strangers_alike(features: FloatArray, names: Array, asked: FloatArray) -> list[FloatArray]:
    """The similarities of every pair within one sex and ethnic group, a row a group, the one of a pair as it is in
    `asked`: strangers as alike as the population of one place may be, and harder to tell apart than any two people of
    the world."""
    kinds = np.array(["_".join(name.split("/")[1].split("_")[:2]) for name in names.tolist()])
    groups = [kinds == kind for kind in sorted(set(kinds.tolist()))]
    return [_once(asked[group] @ features[group].T) for group in groups if group.sum() >= MIN_GROUP]


def calibrate(same: FloatArray, strangers: Iterable[FloatArray]) -> Calibration:
    """The most cautious of the fits of similarities of one person against each group of strangers.

    Groups differ in how alike a net finds their faces. The fit that asks for the highest similarity is kept, so that
    no group suffers more false matches than a probability says.
    """
    fits = [fit(same, group) for group in strangers]
    return max(fits, key=lambda found: -found.offset / found.slope)


def fit(same: FloatArray, other: FloatArray) -> Calibration:
    """The logistic fit of similarities of one person and of two, both classes weighing the same.

    A third number, the share of wrong labels, is fitted beside slope and offset and thrown away: without it a few
    mislabelled pairs flatten the slope.
    """
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
