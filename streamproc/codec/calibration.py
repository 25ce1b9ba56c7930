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

        Before looking, one of the `searched` tracks is expected to be that person: the more were searched, the more
        alike two faces must be, for strangers who look alike come with numbers.
        """
        log_odds = self.slope * np.asarray(similarity, np.float64) + self.offset - np.log(max(searched, 1))
        probability: FloatArray = (1 / (1 + np.exp(-np.clip(log_odds, -50, 50)))).astype(np.float32)
        return probability
