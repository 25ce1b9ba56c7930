"""Who a track shows: one feature out of all its shots, which each of them is coded with."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streamproc.faces.smear import LEAST, fused, smear, unsmeared
from streamproc.types import FaceCrop, FloatArray, Image, Track

ALIKE = 0.5
"""Similarity of two shots of a track from which on they count as one person: about 1 in 1,000 pairs of strangers reach
it (`bench best-shot`)."""


class Recogniser(Protocol):
    """What it needs of `streamproc.codec.face_codec.FaceCodec`."""

    def raw_features(self, crops: Image, /) -> FloatArray:
        """Who (N, 256, 256, 3) uint8 RGB are: (N, D) float32 of unit norm."""
        ...


def features_of(codec: Recogniser, tracks: Sequence[Track], unsmear: bool) -> FloatArray:
    """(N, D) for the N shots of all `tracks` together, one at least, in their order; `unsmear`: motion smear is taken
    back first."""
    shots = [shot for track in tracks for shot in track.shots]
    pictures = [unsmeared(shot.image, shot.heading) if unsmear else shot.image for shot in shots]
    ends = np.cumsum([len(track.shots) for track in tracks])[:-1]
    own = np.split(codec.raw_features(np.stack(pictures)), ends)
    together: list[Image | None] = [None] * len(tracks)
    if unsmear:
        together = [seen_together(track.shots, alike(part)) for track, part in zip(tracks, own, strict=True)]
    known = [picture for picture in together if picture is not None]
    told = iter(codec.raw_features(np.stack(known)) if known else ())
    return np.concatenate(
        [shared(part, None if picture is None else next(told)) for part, picture in zip(own, together, strict=True)]
    )


def alike(features: FloatArray) -> npt.NDArray[np.bool_]:
    """(K,) which of a track's shots show the person of the best one, by their (K, D) features, the best one's first."""
    same: npt.NDArray[np.bool_] = features @ features[0] >= ALIKE if len(features) else np.zeros(0, np.bool_)
    return same


def seen_together(shots: Sequence[FaceCrop], same: npt.NDArray[np.bool_]) -> Image | None:
    """What a track's shots (those of the `same` person) show together, without smear; None where the best one, which is
    the first, is not smeared."""
    if not shots or shots[0].heading is None or smear(shots[0].image, shots[0].heading) < LEAST:
        return None
    picture = fused([shot.image for shot, kept in zip(shots, same, strict=True) if kept])
    return unsmeared(picture, shots[0].heading)


def shared(features: FloatArray, together: FloatArray | None) -> FloatArray:
    """(K, D) of a track's shots, the best one's first: in place of each that is like the best one what they tell
    `together` (D,), by default their mean.

    What chance, noise and compression do to a shot is not who it is. A shot unlike the best one keeps its own: two
    people whom the tracker took for one are not mixed.
    """
    if not len(features):
        return features
    same = alike(features)
    mean = features[same].mean(axis=0) if together is None else together
    told: FloatArray = np.where(same[:, None], mean / np.linalg.norm(mean), features)
    return told
