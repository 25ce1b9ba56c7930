"""How good identities and probabilities are: B-cubed, and calibration by bins."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from streamproc.types import BoolArray, FloatArray

BINS = 10


@dataclass(frozen=True, slots=True)
class BCubed:
    """Of each track, which share of its identity's tracks are of its person (`precision`), and which share of its
    person's tracks are in its identity (`recall`): means over the tracks, and their harmonic mean `f1` (Bagga and
    Baldwin 1998)."""

    precision: float
    recall: float
    f1: float


def b_cubed(people: Sequence[Hashable], identities: Sequence[Hashable]) -> BCubed:
    """The scores of N tracks that show `people` and were given `identities`; of none, all 0."""
    if not people:
        return BCubed(0.0, 0.0, 0.0)
    pairs = list(zip(people, identities, strict=True))
    both, of_person, of_identity = Counter(pairs), Counter(people), Counter(identities)
    precision = sum(both[pair] / of_identity[pair[1]] for pair in pairs) / len(pairs)
    recall = sum(both[pair] / of_person[pair[0]] for pair in pairs) / len(pairs)
    return BCubed(precision, recall, 2 * precision * recall / (precision + recall))


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Answers whose probability lies from `low` on and below `high`: how many, what they said in the mean, and which
    share of them was right."""

    low: float
    high: float
    answers: int
    said: float
    right: float


def calibration_bins(probability: FloatArray, right: BoolArray, bins: int = BINS) -> tuple[CalibrationBin, ...]:
    """The bins, of equal width, that hold any of N answers, with `probability` (N,) and whether each was `right`."""
    places = np.minimum((probability * bins).astype(int), bins - 1)
    rows = []
    for number in sorted(set(places.tolist())):
        here = places == number
        said, true = float(probability[here].mean()), float(right[here].mean())
        rows.append(CalibrationBin(number / bins, (number + 1) / bins, int(here.sum()), said, true))
    return tuple(rows)


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """How far what is said lies from what is right, a mean over the answers (Naeini et al. 2015)."""
    total = sum(one.answers for one in bins)
    return sum(one.answers * abs(one.said - one.right) for one in bins) / total if total else 0.0
