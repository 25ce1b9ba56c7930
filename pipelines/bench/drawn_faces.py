"""Millions of features drawn to lie as real ones do: many people, several looks each, cameras and times.

A person is a point drawn from a normal distribution with the mean and the spread of real people's means along the 64
principal directions of decoded features; a look is the person plus what the looks of one person scatter by, some looks
more than others, brought to unit norm. Mean and spreads were measured on real faces (`feature_spread.json`, written by
`benchmarks/feature_spread.py`, which also shows how similarities of drawn faces compare with those of people whom the
figures do not know). The 64 coordinates are turned into 128 dimensions at random.

Faces come in order of time at random cameras, a person's looks anywhere among them. Everything follows from a seed,
block by block, so that ten million need not be held at once.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from streamproc.types import FloatArray

SPREAD = Path(__file__).with_name("feature_spread.json")
LENGTH = 128
BLOCK = 100_000
CAMERAS = 10
SECOND = 1_000_000

_Doubles = npt.NDArray[np.float64]
_Longs = npt.NDArray[np.int64]
_Number = TypeVar("_Number", int, npt.NDArray[np.int64])


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Each (64,), along the principal directions: the mean of people, and the standard deviations of people around it
    and of looks around their person. `uneven`: that of the logarithm of how far a look lies from its person."""

    mean: _Doubles
    between: _Doubles
    within: _Doubles
    uneven: float


def measured_spread() -> Spread:
    """That of real faces."""
    kept = json.loads(SPREAD.read_text(encoding="utf-8"))
    return Spread(np.array(kept["mean"]), np.array(kept["between"]), np.array(kept["within"]), kept["uneven"])


def as_json(spread: Spread) -> dict[str, list[float] | float]:
    """What `measured_spread` reads."""
    directions = {"mean": spread.mean, "between": spread.between, "within": spread.within}
    rounded = {name: [float(f"{value:.4g}") for value in values] for name, values in directions.items()}
    return rounded | {"uneven": round(spread.uneven, 4)}


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Where and when faces were seen: keys, tracks and times in microseconds (N,) int64, cameras (N,) int32."""

    keys: _Longs
    tracks: _Longs
    cameras: npt.NDArray[np.int32]
    times: _Longs


class Crowd:
    """`faces` faces of `faces / looks` people; `who` (N,) says whose each is."""

    def __init__(self, spread: Spread, faces: int, looks: int, seed: int) -> None:
        self.faces = faces
        self._spread = spread
        self._seed = seed
        chance = np.random.default_rng((seed, 0))
        live, people = len(spread.mean), max(1, faces // looks)
        self._people = chance.standard_normal((people, live), np.float32)
        self._people *= spread.between.astype(np.float32)
        self._people += spread.mean.astype(np.float32)
        self.who = chance.permutation(np.arange(faces, dtype=np.int32) % people)
        self._directions = np.linalg.qr(chance.standard_normal((LENGTH, LENGTH)))[0][:live].astype(np.float32)

    def features(self, first: int, last: int) -> FloatArray:
        """(last - first, 128) float32 of unit norm; `first` begins a block."""
        parts = [self._block(start)[: last - start] for start in range(first, last, BLOCK)]
        return np.concatenate(parts)

    def seen(self) -> Seen:
        """Where and when they were seen: 5 a second over all cameras, three shots a track."""
        chance = np.random.default_rng((self._seed, 2))
        keys = np.arange(1, self.faces + 1)
        cameras = chance.integers(0, CAMERAS, self.faces).astype(np.int32)
        return Seen(keys, (keys + 2) // 3, cameras, self.moment(keys))

    @staticmethod
    def moment(number: _Number) -> _Number:
        """When face `number` was seen, microseconds."""
        return number * (SECOND // 5)

    def questions(self, count: int) -> FloatArray:
        """(count, 128) float32 of unit norm: further looks, not archived, of archived people."""
        chance = np.random.default_rng((self._seed, 3))
        return self._looks(self.who[chance.integers(0, self.faces, count)], chance)

    def _block(self, start: int) -> FloatArray:
        return self._looks(self.who[start : start + BLOCK], np.random.default_rng((self._seed, 1, start)))

    def _looks(self, who: npt.NDArray[np.int32], chance: np.random.Generator) -> FloatArray:
        scatter = chance.standard_normal((len(who), len(self._spread.within)), np.float32)
        uneven = self._spread.uneven
        scatter *= np.exp(uneven * chance.standard_normal((len(who), 1), np.float32) - uneven**2)
        looks = self._people[who] + self._spread.within.astype(np.float32) * scatter
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        turned: FloatArray = looks @ self._directions
        return turned
