"""From similarity to probability, and to a verdict at a stated rate of false alarms."""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import Self

import numpy as np

from streamproc.errors import WeightsError
from streamproc.types import FloatArray

WORST = 0.05
"""Quality under which a face counts as no worse."""
SUFFIX = ".calibration.json"
"""Ending of the file that lies beside a weights file."""
SHARP = 0.7
"""Quality from which on a question's is good enough: strangers are no less alike for a better one."""
SAMPLE = 256
"""Similarities that tell how alike strangers are at a place: more would tell little more."""
USUAL = 0.6
"""Quality of archived tracks, where nothing is known of them."""
STILL, ROUNDS = 1e-4, 200
"""How little the estimate of a place moves when it is taken as it is, and after how many steps it is taken anyway."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How alike pictures of one person are and how alike those of two, a question's face (not coded) and an archived
    track (decoded); fitted on labelled faces as cameras see them (`streamproc.training.calibration`).

    Similarities of one person are normal about `same` + `asked` ln(quality of the question) + `track` ln(quality of the
    track's best shot) + `shots` ln(number of its shots), with the standard deviation `spread`.

    The upper tail of those of strangers is that of a normal distribution about `strangers` with `strangers_spread`,
    which a question's poor quality widens: by `blurred` for each ln(SHARP / quality), since blurred faces resemble each
    other. Half of all strangers are less alike than `typical`, and most are within `within` (a standard deviation) of
    that. From one place to another (people of one origin, one camera's pictures) all this shifts as a whole, by
    `places` in the mean square: `among` tells by how much.
    """

    codec_id: str
    same: float
    asked: float
    track: float
    shots: float
    spread: float
    strangers: float
    strangers_spread: float
    blurred: float
    typical: float
    within: float
    places: float

    def among(self, similarities: FloatArray, asked: float) -> Self:
        """The calibration for a question of quality `asked`, at the place where it has these similarities (N,) to
        whoever is there, strangers mostly, and maybe the person asked for.

        How far strangers are shifted there is estimated with a normal prior, whoever may be the same person left out as
        far as that is probable (expectation maximisation). With few similarities it stays uncertain, which widens the
        tail. Where most are less alike than usual nothing changes: one who looks alike may still be among them.
        Related: score normalisation by a test's own impostors (T-norm, Auckenthaler et al. 2000).
        """
        some = np.asarray(similarities, np.float64)
        if len(some) > SAMPLE:
            some = some[np.arange(SAMPLE) * len(some) // SAMPLE]
        expected = float(self.expected(asked, np.array([USUAL], np.float32), np.ones(1, np.float32))[0])
        alike = np.exp(-0.5 * (np.minimum(some - expected, 0) / self.spread) ** 2) / self.spread
        known, away = (self.within / self.places) ** 2, some - self.typical
        shift, share, count = 0.0, 0.5, known
        for _ in range(ROUNDS):
            unlike = np.exp(-0.5 * ((away - shift) / self.within) ** 2) / self.within
            stranger = (1 - share) * unlike
            stranger /= np.maximum(stranger + share * alike, np.finfo(np.float64).tiny)
            share = float((1 - stranger).sum() + 1) / (len(some) + 2)
            count = known + float(stranger.sum())
            before, shift = shift, float(stranger @ away) / count
            if abs(shift - before) < STILL:
                break
        spread = self.strangers_spread + self.blurred * worse(asked)
        uncertain = self.within / math.sqrt(count)
        more = max(shift, 0.0)
        return replace(self, strangers=self.strangers + more, strangers_spread=math.hypot(spread, uncertain))

    def expected(self, asked: float, track: FloatArray, shots: FloatArray) -> FloatArray:
        """(N,) how alike the same person's N tracks would be to the question's face in the mean, by the qualities (0 to
        1) of both and the numbers of shots."""
        question = self.asked * math.log(max(asked, WORST))
        found = self.same + question + self.track * np.log(np.maximum(track, WORST)) + self.shots * np.log(shots)
        return np.asarray(found, np.float32)

    def between(self, one: FloatArray, other: FloatArray) -> FloatArray:
        """(N,) how alike two tracks of one person would be in the mean, both decoded, by their qualities."""
        logs = np.log(np.maximum(one, WORST)) + np.log(np.maximum(other, WORST))
        return np.asarray(self.same + self.track * logs, np.float32)

    def probability(self, similarity: FloatArray, expected: FloatArray, people: int) -> FloatArray:
        """(N,) probability that each track is of the person asked for, by Bayes' rule; `expected` as above.

        Before looking, that person is as likely absent as one of the `people` compared: the more there are, the more
        alike two faces must be, for strangers who look alike come with numbers.
        """
        # Who is more alike than expected is no less likely the same; who is quite unlike is no less likely a stranger.
        unlike = np.maximum(similarity - np.float64(self.strangers), 0) / self.strangers_spread
        alike = np.minimum(similarity - np.asarray(expected, np.float64), 0) / self.spread
        log_odds = (unlike**2 - alike**2) / 2 + math.log(self.strangers_spread / self.spread)
        log_odds -= math.log(max(2 * people - 1, 1))
        probability: FloatArray = (1 / (1 + np.exp(-np.clip(log_odds, -50, 50)))).astype(np.float32)
        return probability

    def threshold(self, people: int, false_alarms: float) -> float:
        """The similarity that one of `people` strangers reaches with a probability of `false_alarms`."""
        each = -math.expm1(math.log1p(-false_alarms) / max(people, 1))
        return NormalDist(self.strangers, self.strangers_spread).inv_cdf(1 - each)


def worse(quality: float) -> float:
    """How much worse than SHARP a question's quality is, on a logarithmic scale; 0 for a better one."""
    return max(math.log(SHARP / max(quality, WORST)), 0.0)


def calibration_path(weights: Path) -> Path:
    """Where the calibration of a weights file lies."""
    return weights.with_suffix(SUFFIX)


def write_calibration(calibration: Calibration, weights: Path) -> Path:
    """The file beside the weights, written whole."""
    path = calibration_path(weights)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(calibration), indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def read_calibration(weights: Path, codec_id: str) -> Calibration:
    """The calibration beside the weights; WeightsError when there is none, or that of another codec."""
    path = calibration_path(weights)
    try:
        found = Calibration(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise WeightsError(
            f"The weights {weights} have no calibration ({path.name}) beside them, which search needs: "
            "run `streamproc train calibration`."
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is no calibration, or it is damaged ({error}): fetch it again.") from error
    if found.codec_id != codec_id:
        raise WeightsError(
            f"{path} is the calibration of codec {found.codec_id}, and the weights are {codec_id}: "
            "run `streamproc train calibration`."
        )
    return found
