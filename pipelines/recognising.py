"""Who a track shows: one feature out of all its shots, which each of them is coded with."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from streamproc.faces.smear import restored, unsmeared
from streamproc.types import FaceCrop, FloatArray, Image, Track

ALIKE = 0.5
"""Similarity of two shots of a track from which on they count as one person: about 1 in 1,000 pairs of strangers reach
it (`bench best-shot`)."""


class Recogniser(Protocol):
    """What it needs of `streamproc.codec.face_codec.FaceCodec`."""

    @property
    def pretrained(self) -> bool:
        """Whether features are the pretrained trunk's, as `restored` wants them."""
        ...

    def raw_features(self, crops: Image, /) -> FloatArray:
        """Who (N, 256, 256, 3) uint8 RGB are: (N, D) float32 of unit norm."""
        ...


def features_of(codec: Recogniser, tracks: Sequence[Track], unsmear: bool) -> FloatArray:
    """(N, D) for the N shots of all `tracks` together, one at least, in their order; `unsmear`: as if none were smeared
    by motion."""
    shots = [shot for track in tracks for shot in track.shots]
    pictures, shares = zip(*(_still(shot, unsmear) for shot in shots), strict=True)
    features = codec.raw_features(np.stack(pictures))
    if codec.pretrained and any(shares):
        widths = np.array([shot.detection.box[2] - shot.detection.box[0] for shot in shots], np.float32)
        features = restored(features, np.array(shares, np.float32), np.maximum(widths, 1))
    ends = np.cumsum([len(track.shots) for track in tracks])[:-1]
    return np.concatenate([shared(own) for own in np.split(features, ends)])


def _still(shot: FaceCrop, unsmear: bool) -> tuple[Image, float]:
    return unsmeared(shot.image, shot.heading) if unsmear else (shot.image, 0.0)


def shared(features: FloatArray) -> FloatArray:
    """(K, D) of a track's shots, best first: the mean of those that are like the best one, in place of each of them.

    What chance, noise and compression do to a shot is not who it is. A shot unlike the best one keeps its own: two
    people whom the tracker took for one are not mixed.
    """
    if not len(features):
        return features
    alike = features @ features[0] >= ALIKE
    mean = features[alike].mean(axis=0)
    told: FloatArray = np.where(alike[:, None], mean / np.linalg.norm(mean), features)
    return told
