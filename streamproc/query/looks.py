"""What identities look like: each one's mean direction, good tracks weighing more, and how good the best track is."""

import numpy as np
import numpy.typing as npt

from streamproc.types import FloatArray

Numbers = npt.NDArray[np.int64]


class Looks:
    """A growing table of identities by number."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._numbers: Numbers = np.zeros(0, np.int64)
        self._sums: FloatArray = np.zeros((0, 0), np.float32)
        self._lengths: FloatArray = np.zeros(0, np.float32)
        self._quality: FloatArray = np.zeros(0, np.float32)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._rows)

    @property
    def numbers(self) -> Numbers:
        """(N,) whose rows there are."""
        return self._numbers[: len(self)]

    @property
    def quality(self) -> FloatArray:
        """(N,) of each one's best track."""
        return self._quality[: len(self)]

    @property
    def directions(self) -> FloatArray:
        """(N, D) of unit norm."""
        directions: FloatArray = self._sums[: len(self)] / self._lengths[: len(self), None]
        return directions

    def row(self, number: int) -> int:
        """Where an identity stands; KeyError for one that has no track."""
        return self._rows[number]

    def add(self, number: int, feature: FloatArray, quality: float) -> None:
        """Nothing; a track (D,) of that quality is the identity's."""
        row = self._rows.get(number)
        if row is None:
            row = self._begun(number, len(feature))
        self._sums[row] += max(quality, 0.01) * feature
        self._lengths[row] = _length(self._sums[row])
        self._quality[row] = max(quality, float(self._quality[row]))

    def merge(self, gone: int, into: int) -> None:
        """Nothing; the one's tracks are the other's; the last row takes the place of the one that is gone."""
        here, row, last = self._rows[into], self._rows.pop(gone), len(self._rows)
        self._sums[here] += self._sums[row]
        self._lengths[here] = _length(self._sums[here])
        self._quality[here] = max(self._quality[here], self._quality[row])
        if row != last:
            moved = int(self._numbers[last])
            self._rows[moved], self._numbers[row] = row, moved
            for column in (self._sums, self._lengths, self._quality):
                column[row] = column[last]

    def like(self, feature: FloatArray) -> FloatArray:
        """(N,) cosines of a feature (D,) with each."""
        if not len(self):
            return np.zeros(0, np.float32)
        cosines: FloatArray = (self._sums[: len(self)] @ feature) / self._lengths[: len(self)]
        return cosines

    def like_some(self, feature: FloatArray, count: int) -> FloatArray:
        """(K,) cosines of a feature (D,) with `count` of them at the most, evenly chosen."""
        some = min(count, len(self))
        if not some:
            return np.zeros(0, np.float32)
        rows = np.arange(some) * len(self) // some
        cosines: FloatArray = (self._sums[rows] @ feature) / self._lengths[rows]
        return cosines

    def _begun(self, number: int, size: int) -> int:
        row = len(self._rows)
        if row == len(self._numbers):
            room = max(64, row)
            self._numbers = np.concatenate([self._numbers, np.zeros(room, np.int64)])
            self._lengths = np.concatenate([self._lengths, np.zeros(room, np.float32)])
            self._quality = np.concatenate([self._quality, np.zeros(room, np.float32)])
            self._sums = np.concatenate([self._sums.reshape(row, size), np.zeros((room, size), np.float32)])
        self._rows[number], self._numbers[row] = row, number
        self._sums[row], self._quality[row] = 0, 0
        return row


def _length(vector: FloatArray) -> float:
    return max(float(np.linalg.norm(vector)), float(np.finfo(np.float32).tiny))
