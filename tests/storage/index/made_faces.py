"""Made-up faces for the index: features in 64 of 128 dimensions, and what comparing all of them would find."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamproc.types import FloatArray

LIVE, LENGTH = 64, 128
DIRECTIONS = np.linalg.qr(np.random.default_rng(0).standard_normal((LENGTH, LIVE)))[0].T.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """N faces as `VectorIndex.add` takes them."""

    keys: npt.NDArray[np.int64]
    tracks: npt.NDArray[np.int64]
    cameras: npt.NDArray[np.int32]
    times: npt.NDArray[np.int64]
    features: FloatArray

    def columns(
        self,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64], FloatArray]:
        """What `VectorIndex.add` takes."""
        return self.keys, self.tracks, self.cameras, self.times, self.features

    def part(self, first: int, last: int) -> "Faces":
        """Some of them."""
        some = slice(first, last)
        return Faces(self.keys[some], self.tracks[some], self.cameras[some], self.times[some], self.features[some])


def made_faces(count: int, seed: int, first_key: int = 1, cameras: int = 4, live: FloatArray = DIRECTIONS) -> Faces:
    """Faces of count / 5 people, seen at random cameras and times up to a second."""
    chance = np.random.default_rng(seed)
    people = chance.standard_normal((count // 5 + 1, len(live)))
    looks = people[chance.integers(0, len(people), count)] + 0.6 * chance.standard_normal((count, len(live)))
    features = (looks / np.linalg.norm(looks, axis=1, keepdims=True)).astype(np.float32) @ live
    keys = first_key + np.arange(count)
    return Faces(
        keys,
        keys // 3,
        chance.integers(0, cameras, count).astype(np.int32),
        chance.integers(0, 1_000_000, count),
        features,
    )


def another_look(face: FloatArray, seed: int) -> FloatArray:
    """A question: the face, seen differently, with something outside the dimensions that faces live in."""
    look = face + 0.06 * np.random.default_rng(seed).standard_normal(len(face)).astype(np.float32)
    question: FloatArray = (look / np.linalg.norm(look)).astype(np.float32)
    return question
