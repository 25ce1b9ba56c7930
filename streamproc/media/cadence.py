"""Which of a camera's due frames are searched for faces: many while a face is in view, few while nothing moves."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from streamproc.config import CaptureSettings
from streamproc.media.motion import MotionGate
from streamproc.types import Image

STILL_RATE: Final = 2.0
"""Frames a second while a face may be in view that does not move: a track is given up after 1.6 s without a detection,
and its first three come within that time, too."""
LEAST_FOLLOWED: Final = 1.25
"""The same however busy detection is: two within a track's patience."""
LINGER: Final = timedelta(seconds=1)
"""Time for which it still moves after it was last seen to: who passes a pillar, or looks like the wall for a moment."""
_SAVED: Final = 1.5
"""Frames that may be saved up at most: enough that frames which come unevenly are not missed, too few for a burst."""
_NEARLY: Final = 0.999
"""Of a frame, due: times are rounded to microseconds."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Frames searched a second: with a face in view that moves (`following`) or does not (`still`); while something
    moves without a face in view (`searching`), and while nothing does (`idle`)."""

    following: float
    searching: float
    still: float
    idle: float

    @classmethod
    def live(cls, settings: CaptureSettings) -> Self:
        """Those of a camera, whose detector tells whether a face is in view."""
        most = settings.max_rate
        if not settings.motion:
            return cls(most, most, most, most)
        still = min(STILL_RATE, most)
        return cls(most, min(settings.search_rate, most), still, min(settings.idle_rate, still))

    @classmethod
    def file(cls, settings: CaptureSettings) -> Self:
        """Those of a file, whose frames are chosen before anybody looked for faces: the same ones every time."""
        most = settings.max_rate
        still = min(STILL_RATE, most) if settings.motion else most
        return cls(most, most, still, still)


class Cadence:
    """Picks the frames of one camera or file."""

    def __init__(self, rates: Rates, gate: MotionGate | None) -> None:
        """`gate` None: it counts as moving all the time."""
        self._rates = rates
        self._gate = gate
        self._moved_at: datetime | None = None
        self._last: datetime | None = None
        self._rate = 0.0
        self._saved = 0.0

    def wants(self, luma: Image, at: datetime, share: float = 1.0, face: bool = False) -> bool:
        """Whether the frame with this luma (H, W) uint8, taken at `at`, is to be searched; ask once a due frame, in
        order.

        `share` (0..1]: of all rates, what detection can take; `face`: one is in view. Frames are due at once when the
        rate rises, evenly after that.
        """
        rates, moving = self._rates, self._moving(luma, at)
        if face:
            rate, least = (rates.following if moving else rates.still), LEAST_FOLLOWED
        else:
            rate, least = (rates.searching if moving else rates.idle), 0.0
        passed = max(0.0, (at - self._last).total_seconds()) if self._last is not None else 0.0
        self._last = at
        # A share that grows back is no reason for a frame at once: all cameras' would come together.
        risen = rate > self._rate
        self._rate = rate
        self._saved = 1.0 if risen else min(self._saved + passed * max(rate * share, min(rate, least)), _SAVED)
        if self._saved < _NEARLY:
            return False
        self._saved = max(0.0, self._saved - 1.0)
        return True

    def _moving(self, luma: Image, at: datetime) -> bool:
        if self._gate is None:
            return True
        if self._gate.moved(luma, at):
            self._moved_at = at
        return self._moved_at is not None and timedelta() <= at - self._moved_at <= LINGER
