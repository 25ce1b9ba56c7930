"""From similarity to probability."""

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
        prior = -np.log(max(2 * searched - 1, 1))
        log_odds = self.slope * np.asarray(similarity, np.float64) + self.offset + prior
        probability: FloatArray = (1 / (1 + np.exp(-np.clip(log_odds, -50, 50)))).astype(np.float32)
        return probability
