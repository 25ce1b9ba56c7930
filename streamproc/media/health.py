"""Whether a live camera's pictures are worth anything: frozen, black and damaged ones are named, with their beginning.

A camera whose stream runs on while its picture stands still is the silent failure that users find out from an empty
search (frigate#3237, opencv#28638): FFmpeg gives frames, so nothing else notices.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import cv2
import numpy as np

from streamproc.types import Array, GapReason, Image

SAMPLES: Final = (160, 90)
"""Points across and down at which pictures are compared. Points and not means, in which a sensor's noise, the one
thing that tells a quiet scene from a frozen picture, would vanish."""
STILL: Final = 0.5
"""Mean difference of the points' grey levels up to which it is the same picture, coded again (FFmpeg's freezedetect
takes 0.26)."""
DARK, FLAT = 24.0, 4.0
"""Mean grey level and its standard deviation up to which a picture is black: video's black is 16."""
DAMAGED_SHARE: Final = 0.5
"""Share of damaged frames from which a stream is of no use."""
DAMAGE_WINDOW: Final = timedelta(seconds=4)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why pictures say nothing (FROZEN, BLACK, CORRUPT), and since when (UTC)."""

    reason: GapReason
    since: datetime


class PictureHealth:
    """Looks at a live camera's pictures one after the other."""

    def __init__(self, frozen_after: timedelta, black_after: timedelta) -> None:
        """How long a picture may stand still, or be black."""
        self._frozen_after, self._black_after = frozen_after, black_after
        self._seen: Array | None = None
        self._still_since: datetime | None = None
        self._black_since: datetime | None = None
        self._arrived: deque[tuple[datetime, bool]] = deque()

    def see(self, luma: Image, at: datetime) -> Trouble | None:
        """What is wrong now, the earliest trouble first, after a sound picture, its luma (H, W) uint8, captured at
        `at`."""
        grey = cv2.resize(luma, SAMPLES, interpolation=cv2.INTER_NEAREST).astype(np.float32)
        if self._seen is None or float(np.abs(grey - self._seen).mean()) > STILL:
            # Compared with the first of a still stretch, not with the last: slow changes add up.
            self._seen, self._still_since = grey, at
        black = float(grey.mean()) <= DARK and float(grey.std()) <= FLAT
        self._black_since = (self._black_since or at) if black else None
        return self._arrive(at, False)

    def damaged(self, at: datetime) -> Trouble | None:
        """What is wrong now, after a frame that could not be decoded."""
        return self._arrive(at, True)

    def _arrive(self, at: datetime, damaged: bool) -> Trouble | None:
        self._arrived.append((at, damaged))
        while self._arrived[0][0] < at - DAMAGE_WINDOW:
            self._arrived.popleft()
        troubles = [
            self._corrupt(at),
            self._lasting(GapReason.BLACK, self._black_since, at, self._black_after),
            self._lasting(GapReason.FROZEN, self._still_since, at, self._frozen_after),
        ]
        found = [trouble for trouble in troubles if trouble is not None]
        return min(found, key=lambda trouble: trouble.since, default=None)

    def _corrupt(self, at: datetime) -> Trouble | None:
        broken = [when for when, damaged in self._arrived if damaged]
        enough = len(broken) >= DAMAGED_SHARE * len(self._arrived) and at - self._arrived[0][0] > DAMAGE_WINDOW / 2
        return Trouble(GapReason.CORRUPT, broken[0]) if broken and enough else None

    @staticmethod
    def _lasting(reason: GapReason, since: datetime | None, now: datetime, patience: timedelta) -> Trouble | None:
        return Trouble(reason, since) if since is not None and now - since >= patience else None
