"""Whether anything moves before a camera, seen on a small luma picture: what costs nothing beside finding faces.

Each picture is compared with a background that follows it slowly. The light of the whole picture is taken out first, by
a gain and an offset that most of the picture agrees on; a cell has changed when it is further off than noise, flicker
of the coding and leaves have lately been there; and a few changed cells beside each other are motion.
"""

from datetime import datetime
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from streamproc.media.regions import Regions
from streamproc.types import Array, BoolArray, FloatArray, Image

IndexArray = npt.NDArray[np.intp]

CELLS: Final = 160
"""Cells along a picture's longer side: a face of 40 px in a 1080p picture is three across, its shoulders are nine."""
MEMORY: Final = 10.0
"""Seconds in which the background becomes what stands still before it (its time constant)."""
STEP: Final = 24.0
"""Grey levels that count at most of how far a cell is from the background, or whoever passes slowly would leave a
trail. What is 60 levels brighter and stays is taken for background after 25 seconds."""
UNREST_MEMORY: Final = 30.0
"""The same of how far each cell mostly is from the background."""
SPREADS: Final = 5.0
"""A cell has changed when it is so many times further off than it mostly is."""
LEAST, MOST = 6.0, 12.0
"""Bounds of that, grey levels. Coding makes still cells flicker by some four; walkers of 40 px in composed scenes, dark
and blurred ones too, are still seen all the way at the upper bound, which keeps a doorway, where somebody always walks,
from getting used to it."""
TOGETHER: Final = 4
"""Changed cells in a square of three by three that are motion."""
WHOLE: Final = 0.5
"""Share of changed cells from which on it is another picture (a lamp went on, the camera was turned): all is learnt
anew."""
LIGHT_CELLS: Final = 7
"""One cell in so many is asked what became of the light."""
_STEADY: Final = 25.0
"""Of the gain: in a picture whose variance is no more than this, a change of light is rather taken for an offset."""


class MotionGate:
    """Looks at a camera's pictures one after the other. The same pictures at the same times give the same answers."""

    def __init__(self, regions: Regions | None = None) -> None:
        """Motion counts where `regions` say so."""
        self._regions = regions or Regions()
        self._size = (0, 0)
        self._background: FloatArray
        self._unrest: FloatArray
        self._counted: BoolArray
        self._asked: IndexArray
        self._last: datetime

    def moved(self, luma: Image, at: datetime) -> bool:
        """Whether something moves in the picture (H, W) uint8 taken at `at`; True of the first one, of which nobody
        can tell."""
        shrink = CELLS / max(luma.shape)
        size = (max(1, round(luma.shape[1] * shrink)), max(1, round(luma.shape[0] * shrink)))
        small: FloatArray = cv2.resize(luma, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        if size != self._size:
            self._size = size
            self._counted = self._regions.counted(*size)
            self._asked = np.flatnonzero(self._counted)[::LIGHT_CELLS]
            self._learn(small, at)
            return True
        if not self._asked.size:
            return False
        expected = _relit(self._background, small, self._asked)
        off = np.abs(small - expected)
        changed = (off > np.clip(SPREADS * self._unrest, LEAST, MOST)) & self._counted
        if changed.sum() > WHOLE * self._counted.sum():
            self._learn(small, at)
            return True
        self._follow(small, expected, off, at)
        together = cv2.boxFilter(changed.astype(np.uint8), -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
        return bool((together >= TOGETHER).any())

    def _learn(self, small: FloatArray, at: datetime) -> None:
        """Nothing; the picture is the background."""
        self._background, self._last = small, at
        self._unrest = np.full_like(small, LEAST / SPREADS)

    def _follow(self, small: FloatArray, expected: FloatArray, off: FloatArray, at: datetime) -> None:
        """Nothing; the background has come nearer to the picture, in the picture's light."""
        passed = max(0.0, (at - self._last).total_seconds())
        self._last = at
        step = np.clip(small - expected, -STEP, STEP)
        self._background = expected + _share(passed, MEMORY) * step
        self._unrest += _share(passed, UNREST_MEMORY) * (np.minimum(off, MOST) - self._unrest)


def _share(passed: float, memory: float) -> np.float32:
    return np.float32(1 - np.exp(-passed / memory))


def _relit(background: FloatArray, small: FloatArray, asked: IndexArray) -> FloatArray:
    """The background in the picture's light: times a gain and plus an offset, both by least squares over those of the
    cells `asked` that follow them, twice, which leaves out whatever moves."""
    before, now = background.take(asked), small.take(asked)
    gain, offset = 1.0, float(np.median(now - before))
    for _ in range(2):
        wrong = np.abs(now - (gain * before + offset))
        agree = wrong <= 2.0 + 2.0 * np.median(wrong)
        gain, offset = _fitted(before[agree], now[agree])
    return np.clip(np.float32(gain) * background + np.float32(offset), 0, 255)


def _fitted(before: Array, now: Array) -> tuple[float, float]:
    """(gain, offset) from one to the other; the gain stays near 1 where the picture is too flat to tell."""
    middle, change = float(before.mean()), now - before
    apart = before - middle
    gain = 1.0 + float((apart * change).mean()) / (float((apart * apart).mean()) + _STEADY)
    return gain, float(now.mean()) - gain * middle
