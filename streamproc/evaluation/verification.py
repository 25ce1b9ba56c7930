"""Verification: are two pictures of one person? LFW's protocol (Huang et al. 2007), unrestricted, ten folds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamproc.types import FloatArray

FOLDS = 10


@dataclass(frozen=True, slots=True)
class Verification:
    """Mean accuracy over the folds, its standard error, and the share of same-person pairs accepted where one pair of
    strangers in 1,000 is."""

    accuracy: float
    standard_error: float
    tar_at_far_1e3: float


def verify(similarity: FloatArray, same: npt.NDArray[np.bool_], fold: npt.NDArray[np.int64]) -> Verification:
    """The figures of pairs (P,): each fold is judged by the threshold that is best on the other nine."""
    candidates = np.sort(similarity)
    shares = []
    for k in range(FOLDS):
        held = fold == k
        if not held.any() or held.all():
            continue
        threshold = _best_threshold(similarity[~held], same[~held], candidates)
        shares.append(float(((similarity[held] >= threshold) == same[held]).mean()))
    strangers = np.sort(similarity[~same])[::-1]
    accepted = int(len(strangers) * 1e-3)
    bar = strangers[min(accepted, len(strangers) - 1)]
    spread = float(np.std(shares) / max(len(shares), 1) ** 0.5)
    return Verification(float(np.mean(shares)), spread, float((similarity[same] > bar).mean()))


def _best_threshold(similarity: FloatArray, same: npt.NDArray[np.bool_], candidates: FloatArray) -> float:
    """The candidate that classifies most pairs rightly."""
    accepted_same = len(similarity[same]) - np.searchsorted(np.sort(similarity[same]), candidates, side="left")
    refused_other = np.searchsorted(np.sort(similarity[~same]), candidates, side="left")
    return float(candidates[int(np.argmax(accepted_same + refused_other))])
