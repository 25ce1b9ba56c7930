"""From similarity to probability."""

import math
from dataclasses import dataclass

import numpy as np

from streamproc.types import FloatArray


@dataclass(frozen=True, slots=True)
class Calibration:
    """How much more likely a similarity is between two pictures of one person than of two: log ratio = slope * s +
    offset, fitted on labelled training faces (`streamproc.training.calibration`)."""

    slope: float
    offset: float

    def probability(self, similarity: FloatArray, searched: int) -> FloatArray:
        """(N,) probability that each is the person asked for, by Bayes' rule.

        Before looking, that person is as likely absent as hidden behind one of the `searched` faces: the more were
        compared, the more alike two faces must be, for strangers who look alike come with numbers.
        """
        log_odds = self.slope * np.asarray(similarity, np.float64) + self.offset + _prior(searched)
        probability: FloatArray = (1 / (1 + np.exp(-np.clip(log_odds, -50, 50)))).astype(np.float32)
        return probability

    def similarity(self, probability: float, searched: int) -> float:
        """The similarity that has `probability` (above 0, below 1) where so many faces were compared."""
        log_odds = math.log(probability / (1 - probability))
        return (log_odds - self.offset - _prior(searched)) / self.slope


def _prior(searched: int) -> float:
    """The log odds, before looking, that one of the `searched` faces is the person asked for."""
    return -math.log(max(2 * searched - 1, 1))
