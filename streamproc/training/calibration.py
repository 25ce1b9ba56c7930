"""Calibration: how alike labelled faces are as cameras see them, one asked about and one archived."""

from dataclasses import asdict
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch

from streamproc.codec.calibration import WORST, Calibration, write_calibration
from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.profiles import profile_path
from streamproc.faces.finder import FaceFinder
from streamproc.training import seen
from streamproc.training.data import NO_IDENTITY
from streamproc.training.loop import Progress, TrainResult
from streamproc.training.seen import SeenFaces
from streamproc.types import Array, BoolArray, FloatArray

PART = "calibration"
STEPS = 400
TAIL = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
"""Shares of the pairs of strangers at which their upper tail is fitted."""
TWICE = 0.75
"""Similarity of two photos, neither seen by a camera, from which on they are taken for one person's who is in the set
twice: of 2.7 million pairs of mebeauty 177 reach it, and their number hardly falls any more up to 0.9."""
MIN_FACE = 36


def train(data: Path, work: Path, profile: str, progress: Progress) -> TrainResult:
    """Makes what is missing of the faces as cameras see them, fits, and writes the calibration beside the weights."""
    codec = FaceCodec.load(profile, "cpu")
    folder, total = work / f"seen-{codec.codec_id}", len(seen.photos(data))
    for done in seen.prepare(data, folder, FaceFinder.load("cpu", MIN_FACE), codec):
        progress("faces", done, total)
    faces = seen.load(folder)
    calibration = calibrate(faces, codec.codec_id)
    path = write_calibration(calibration, profile_path(profile))
    metrics = {name: value for name, value in asdict(calibration).items() if isinstance(value, float)}
    metrics |= {f"threshold_{people}": calibration.threshold(people, 0.05) for people in (1, 100, 10_000, 1_000_000)}
    return TrainResult(PART, STEPS, 0.0, str(path), metrics | {"faces": len(faces.names)})


def calibrate(faces: SeenFaces, codec_id: str) -> Calibration:
    """The calibration of a codec on faces that it coded."""
    centre, spread = _tail(_strangers(faces))
    same, asked, track, shots, same_spread = _same(faces, (centre, spread))
    return Calibration(codec_id, same, asked, track, shots, same_spread, centre, spread)


def pair_similarities(
    features: FloatArray, identities: Array, asked: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """(similarities of pairs of one person, of pairs of two people): every pair of unit features (N, D) with known
    identities (N,); the one of a pair as it is in `asked` (N, D), where given."""
    known = identities != NO_IDENTITY
    similarity = (features if asked is None else asked)[known] @ features[known].T
    identities = identities[known]
    rows, columns = np.triu_indices(len(identities), 1)
    same = identities[rows] == identities[columns]
    pairs: FloatArray = similarity[rows, columns]
    return pairs[same], pairs[~same]


def accepted_share(same: FloatArray, other: FloatArray, false_alarms: float = 1e-3) -> float:
    """TAR at FAR: the share of the similarities of one person above the one that so small a share of `other`, those of
    two people, reaches."""
    return float((same > np.quantile(other, 1 - false_alarms)).mean())


def _strangers(faces: SeenFaces) -> FloatArray:
    """The similarities of all pairs of portraits of a mixed population: two sexes, six ethnic groups, nearly all of
    them different people; who is in it twice is left out."""
    mixed = faces.identities == NO_IDENTITY
    asked, tracks = faces.asked[mixed], faces.tracks[mixed]
    others: BoolArray = (asked @ asked.T < TWICE) & ~np.eye(len(asked), dtype=bool)
    found: FloatArray = (asked @ tracks.T)[others]
    return found


def _tail(strangers: FloatArray) -> tuple[float, float]:
    """(centre, spread) of the normal distribution whose upper tail is theirs: a line through its quantiles."""
    places = [NormalDist().inv_cdf(1 - share) for share in TAIL]
    spread, centre = np.polyfit(places, np.quantile(strangers, 1 - np.array(TAIL)), 1).tolist()
    return centre, spread


def _same(faces: SeenFaces, strangers: tuple[float, float]) -> tuple[float, float, float, float, float]:
    """(mean at the best quality, its slopes by the logarithms of both qualities and of the number of shots, standard
    deviation): the likeliest for pairs of two photos of one person.

    The share of wrong labels is fitted beside them and thrown away: without it a few mislabelled pairs widen the
    spread.
    """
    named = faces.identities != NO_IDENTITY
    identities, names = faces.identities[named], faces.names[named]
    rows, columns = np.nonzero((identities[:, None] == identities) & (names[:, None] != names))
    similarity = torch.from_numpy((faces.asked[named] @ faces.tracks[named].T)[rows, columns]).double()
    by = torch.from_numpy(
        np.stack(
            [
                np.ones(len(rows)),
                np.log(np.maximum(faces.asked_quality[named], WORST))[rows],
                np.log(np.maximum(faces.track_quality[named], WORST))[columns],
                np.log(faces.shots[named])[columns],
            ],
            axis=1,
        )
    ).double()
    numbers = torch.tensor([0.6, 0.1, 0.3, 0.0, -2.0, -3.0], dtype=torch.float64, requires_grad=True)
    wrong_pairs = torch.distributions.Normal(*strangers).log_prob(similarity)  # type: ignore[no-untyped-call]
    optimiser = torch.optim.LBFGS([numbers], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        right = torch.distributions.Normal(by @ numbers[:4], numbers[4].exp()).log_prob(similarity)  # type: ignore[no-untyped-call]
        share = torch.nn.functional.logsigmoid(numbers[5]), torch.nn.functional.logsigmoid(-numbers[5])
        loss = -torch.logaddexp(right + share[1], wrong_pairs + share[0]).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    same, asked, track, shots, spread, _ = numbers.detach().tolist()
    return same, asked, track, shots, float(np.exp(spread))
