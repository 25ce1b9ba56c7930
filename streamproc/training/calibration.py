"""Calibration: how alike labelled faces are as cameras see them, one asked about and one archived."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch

from streamproc.codec.calibration import WORST, Calibration, worse, write_calibration
from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.profiles import profile_path
from streamproc.errors import SourceNotFound
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
DEVIATIONS = np.array([-NormalDist().inv_cdf(share) for share in TAIL])
"""Standard deviations beyond which those shares of a normal distribution lie."""
QUALITIES = 8
"""Parts of the questions, by quality, whose tails are fitted together."""
THIRDS = 3
"""Parts of a group of people, by the quality of their tracks: each with its group is a place."""
LEAST = 20
"""Tracks without which a place tells nothing."""
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
    photos = _Strangers.of(faces)
    values = photos.values[photos.apart]
    typical, quarters = float(np.median(values)), np.quantile(values, [0.25, 0.75])
    within = float(np.diff(quarters)[0]) / (NormalDist().inv_cdf(0.75) - NormalDist().inv_cdf(0.25))
    same, asked, track, shots, same_spread = _same(faces, (typical, within))
    places = float(np.sqrt(np.mean([(middle - typical) ** 2 for middle in _places(faces)])))
    centre, spread = _tail(photos)
    plain = Calibration(codec_id, same, asked, track, shots, same_spread, centre, spread, 0.0, typical, within, places)
    return replace(plain, blurred=_blurred(_Strangers.of(faces, by_tracks=True), plain))


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


@dataclass(frozen=True, slots=True, eq=False)
class _Strangers:
    """A mixed population (two sexes, six ethnic groups): questions of `quality` (N,); `values` (N, N) their
    similarities to tracks, `apart` (N, N) which of them are of two people."""

    quality: FloatArray
    values: FloatArray
    apart: BoolArray

    @classmethod
    def of(cls, faces: SeenFaces, by_tracks: bool = False) -> "_Strangers":
        """Portraits of nearly all different people, who is in the set twice left out; asked about by photos, or
        `by_tracks`, as whoever asks by a camera's picture does."""
        mixed = faces.identities == NO_IDENTITY
        photos, tracks = faces.asked[mixed], faces.tracks[mixed]
        values: FloatArray = (tracks if by_tracks else photos) @ tracks.T
        return cls((faces.track_quality if by_tracks else faces.asked_quality)[mixed], values, _apart(photos))


def _apart(photos: FloatArray) -> BoolArray:
    """(N, N) which pairs of portraits, by the features of their photos (N, D), are of two people."""
    return (photos @ photos.T < TWICE) & ~np.eye(len(photos), dtype=bool)


def _places(faces: SeenFaces) -> list[float]:
    """How alike strangers are in the middle at one place each: tracks of one group of people, about equally good."""
    groups, found = faces.groups, []
    for group in sorted(set(groups) - {""}):
        rows = np.flatnonzero(groups == group)
        for part in np.array_split(rows[np.argsort(faces.track_quality[rows])], THIRDS):
            if len(part) >= LEAST:
                tracks = faces.tracks[part]
                found.append(float(np.median((tracks @ tracks.T)[_apart(faces.asked[part])])))
    if not found:
        raise SourceNotFound("no group of portraits has enough faces: give the training folder mebeauty")
    return found


def _tail(strangers: _Strangers) -> tuple[float, float]:
    """(centre, spread) of the normal distribution whose upper tail is that of strangers' similarities: a line through
    their quantiles."""
    quantiles = np.quantile(strangers.values[strangers.apart], 1 - np.array(TAIL))
    spread, centre = np.polyfit(DEVIATIONS, quantiles, 1).tolist()
    return centre, spread


def _blurred(strangers: _Strangers, plain: Calibration) -> float:
    """How much a worse question widens the tail, beyond what the question's place tells by itself: the least squares'
    line through the tail's quantiles, questions of about one quality together."""
    known, wanted = [], []
    for part in np.array_split(np.argsort(strangers.quality), QUALITIES):
        rest = []
        for row in part.tolist():
            values = strangers.values[row, strangers.apart[row]]
            rest.append(values - (plain.among(values, 1.0).strangers - plain.strangers))
        tail = np.quantile(np.concatenate(rest), 1 - np.array(TAIL))
        known.append(np.mean([worse(quality) for quality in strangers.quality[part].tolist()]) * DEVIATIONS)
        wanted.append(tail - plain.strangers - plain.strangers_spread * DEVIATIONS)
    knowns, rests = np.concatenate(known), np.concatenate(wanted)
    return max(float(knowns @ rests) / max(float(knowns @ knowns), 1e-9), 0.0)


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
