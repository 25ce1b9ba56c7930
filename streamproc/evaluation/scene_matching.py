"""What an archive made of scenes whose truth is known: passes found and missed, identities, doubles, false tracks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from streamproc.evaluation.scene_truth import Pass, SceneTruth, overlap
from streamproc.types import FaceRecord, FloatArray

LEAST_OVERLAP = 0.5
"""Intersection over union from which on a shot's box shows a pass's face."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenTrack:
    """A track as an archive holds it: its shots, best first, and the best one's decoded feature (D,)."""

    id: str
    camera: str
    shots: tuple[FaceRecord, ...]
    feature: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Known people, to recognise tracks by: a feature (N, D) of unit norm for each of N `identities`."""

    identities: tuple[str, ...]
    features: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class MatchedPass:
    """A pass and the tracks whose best shots show it, the best shot of all first; none: it was missed.

    Of that first track: `overlap` of its best shot with the true box, `identity` of the nearest in the gallery, and
    `similarity` (cosine) to the true person's feature there. 0, None and 0 for a pass that was missed.
    """

    truth: Pass
    tracks: tuple[SeenTrack, ...]
    overlap: float = 0.0
    identity: str | None = None
    similarity: float = 0.0

    @property
    def right(self) -> bool:
        """True when the best shot's nearest person is the true one."""
        return self.identity == self.truth.identity


@dataclass(frozen=True, slots=True, eq=False)
class SceneMatch:
    """Every pass of the truth, the tracks whose best shot shows nobody's face (`false`), those that have shots of more
    than one pass (`mixed`), and the similarities of each matched pass's best shot to everybody whom it is not."""

    passes: tuple[MatchedPass, ...]
    false: tuple[SeenTrack, ...]
    mixed: tuple[SeenTrack, ...]
    strangers: FloatArray

    @property
    def archived(self) -> int:
        """Passes with a track."""
        return sum(bool(one.tracks) for one in self.passes)

    @property
    def right(self) -> int:
        """Passes whose best shot is nearest to the right person."""
        return sum(one.right for one in self.passes)

    @property
    def doubles(self) -> int:
        """Tracks beyond the first of their pass."""
        return sum(max(0, len(one.tracks) - 1) for one in self.passes)

    def reaching(self, threshold: float) -> int:
        """Passes whose best shot resembles the true person at least as much as `threshold` says."""
        return sum(bool(one.tracks) and one.similarity >= threshold for one in self.passes)


def match(
    scenes: Sequence[SceneTruth], tracks: Sequence[SeenTrack], gallery: Gallery, slack: timedelta = timedelta()
) -> SceneMatch:
    """What the tracks come to before the truth. A clip that is shown several times is as many scenes, each with its own
    `started_at`.

    A track belongs to the pass, before its camera, whose true box at the time of its best shot overlaps that shot's box
    most, by `LEAST_OVERLAP` at least. Where clocks are not exact (a live camera's), times may be wrong by `slack`.
    """
    # By place, not by value: a clip that is looped holds equal passes.
    places = [(scene, one) for scene in scenes for one in scene.passes]
    theirs: list[list[SeenTrack]] = [[] for _ in places]
    false, mixed = [], []
    for track in tracks:
        found = [_place(places, track.camera, shot, slack) for shot in track.shots]
        if len({place for place in found if place is not None}) > 1:
            mixed.append(track)
        if found and found[0] is not None:
            theirs[found[0]].append(track)
        else:
            false.append(track)
    passes, strangers = [], []
    for (scene, one), belonging in zip(places, theirs, strict=True):
        ordered = tuple(sorted(belonging, key=lambda track: -track.shots[0].quality))
        if not ordered:
            passes.append(MatchedPass(one, ()))
            continue
        similarity = gallery.features @ ordered[0].feature
        own = np.array([identity == one.identity for identity in gallery.identities])
        strangers.append(similarity[~own])
        passes.append(
            MatchedPass(
                one,
                ordered,
                _overlap(scene, one, ordered[0].shots[0], slack),
                gallery.identities[int(similarity.argmax())],
                float(similarity[own].max()) if own.any() else 0.0,
            )
        )
    return SceneMatch(tuple(passes), tuple(false), tuple(mixed), _joined(strangers))


def accepting(strangers: FloatArray, otherwise: float, share: float = 1e-3) -> float:
    """The similarity (a cosine) that this share of pairs of strangers (N,) reaches; `otherwise` where N is too small to
    tell."""
    return float(np.quantile(strangers, 1 - share)) if len(strangers) * share >= 1 else otherwise


def _joined(parts: Sequence[npt.NDArray[np.float32]]) -> FloatArray:
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _place(places: Sequence[tuple[SceneTruth, Pass]], camera: str, shot: FaceRecord, slack: timedelta) -> int | None:
    """The number of the pass that a shot shows; None when it shows none."""
    shares = [_overlap(scene, one, shot, slack) if scene.view.camera == camera else 0.0 for scene, one in places]
    best = int(np.argmax(shares)) if shares else 0
    return best if shares and shares[best] >= LEAST_OVERLAP else None


def _overlap(scene: SceneTruth, one: Pass, shot: FaceRecord, slack: timedelta) -> float:
    """The overlap of a shot's box with a pass's, the largest within `slack` of the shot's time, frame by frame."""
    start, end = scene.span(one)
    frame = timedelta(seconds=1 / scene.view.rate)
    if not start - slack - frame <= shot.time <= end + slack + frame:
        return 0.0
    steps = int(slack / frame)
    boxes = (scene.box(one, shot.time + k * frame) for k in range(-steps, steps + 1))
    return max((overlap(box, shot.box) for box in boxes if box is not None), default=0.0)
