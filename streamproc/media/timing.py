"""When a frame was shown and captured, and which frames are due: exact rational time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from streamproc.types import Clock, FrameTime

LONGEST_GAP = Fraction(30)
"""Seconds between two frames beyond which the clock has jumped, unless the container's stated duration covers them."""

ASTRAY = Fraction(5)
"""Seconds by which a sender's clock may differ from ours and still be believed."""
SLEW = Fraction(1, 2)
"""By how much of its own speed time is sped up or slowed down until it is right: it never stands still or goes back."""

_DEFAULT_INTERVAL = Fraction(1, 25)
_DEFAULT_TIME_BASE = Fraction(1, 90_000)
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


class StreamClock:
    """Turns a stream's timestamps into `FrameTime`s.

    A timestamp that goes backwards or jumps begins a new epoch. A file's time then goes on one frame interval later; a
    live stream's (`now` given) goes on where the wall clock is, since nobody knows how long it was away.

    A live stream's UTC is corrected as more is known. Frames that waited while the stream was opened arrive late, so
    the frame that arrived soonest for its timestamp tells when the stream began; where the sender says when a frame was
    captured, and is less than `ASTRAY` from that, the sender tells. The first frame takes what is known then; a later
    correction, from one clock to the other too, makes time run up to `SLEW` faster or slower until it is right.
    """

    def __init__(
        self,
        anchor: datetime,
        interval: Fraction | None = None,
        stated: Fraction | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """`anchor`: UTC of the first frame; `interval`: seconds a frame lasts when it does not say; `stated`: the
        duration that the container states, seconds; `now`: the wall clock, for a live stream."""
        self.elapsed = Fraction(0)
        """Seconds since the first frame, continued over epochs: it never goes backwards."""
        self.clock = Clock.FILE if now is None else Clock.ARRIVAL
        """What told the last frame's time."""
        self.astray = Fraction(0)
        """Seconds by which the sender's clock was last ahead of when frames arrived."""
        self._anchor = anchor
        self._correction = self._soonest = Fraction(0)
        self._interval = interval or _DEFAULT_INTERVAL
        self._stated = stated
        self._now = now
        self._epoch = 0
        self._last: FrameTime | None = None
        self._origin = Fraction(0)

    def stamp(
        self, pts: int | None, time_base: Fraction | None, duration: int | None, sender: Fraction | None = None
    ) -> FrameTime:
        """The time of the next frame, from its timestamp and duration in units of `time_base`; `sender`: Unix time in
        seconds of the timestamp 0, by the sender's clock, where that is known.

        A frame without a timestamp is put one frame interval after the one before it.
        """
        base = time_base or (self._last.time_base if self._last else _DEFAULT_TIME_BASE)
        interval = duration * base if duration else self._interval
        if pts is None:
            pts = 0 if self._last is None else round((self._last.seconds + interval) / base)
        seconds = pts * base
        if self._last is None:
            self._origin = seconds
        elif self._jumped(seconds, self._last.seconds):
            self._epoch += 1
            self._origin = seconds - self._resumed(interval)
        passed, self.elapsed = seconds - self._origin - self.elapsed, seconds - self._origin
        if self._now is not None:
            self._correct(self._now(), None if sender is None else sender + seconds, passed)
        captured_at = self._anchor + timedelta(microseconds=round((self.elapsed + self._correction) * 1_000_000))
        self._last = FrameTime(self._epoch, pts, base, captured_at)
        return self._last

    def _correct(self, now: datetime, sender: Fraction | None, passed: Fraction) -> None:
        """Nothing; the correction is nearer to what it must be after `passed` seconds of stream."""
        arrived = _seconds(now - self._anchor) - self.elapsed
        self._soonest = min(arrived, self._soonest)
        wanted, self.clock = self._soonest, Clock.ARRIVAL
        if sender is not None:
            told = sender - _seconds(self._anchor - _UNIX) - self.elapsed
            self.astray = told - self._soonest
            if abs(self.astray) < ASTRAY:
                wanted, self.clock = told, Clock.SENDER
        step = wanted - self._correction
        most = abs(step) if self._last is None else SLEW * passed
        self._correction += max(-most, min(most, step))

    def _jumped(self, seconds: Fraction, last: Fraction) -> bool:
        if seconds < last:
            return True
        covered = self._stated is not None and self._epoch == 0 and seconds - self._origin <= self._stated
        return seconds - last > LONGEST_GAP and not covered

    def _resumed(self, interval: Fraction) -> Fraction:
        resumed = self.elapsed + interval
        if self._now is None:
            return resumed
        return max(resumed, _seconds(self._now() - self._anchor) - self._correction)


def _seconds(span: timedelta) -> Fraction:
    return Fraction(span // timedelta(microseconds=1), 1_000_000)


class RateGate:
    """Picks at most `max_rate` frames per second of stream time; every frame where that is None.

    Due times lie on a grid, so that 30 frames per second thin to 10 as every third; after a gap the grid starts anew:
    no burst makes up for it.
    """

    def __init__(self, max_rate: float | None) -> None:
        if max_rate is not None and max_rate <= 0:
            raise ValueError(f"max_rate must be above 0 frames per second, not {max_rate}.")
        self._step = 1 / Fraction(max_rate).limit_denominator(1000) if max_rate is not None else None
        self._due = Fraction(0)

    def wants(self, elapsed: Fraction) -> bool:
        """True when the frame shown `elapsed` seconds after the first is to be given; ask once a frame, in order."""
        if self._step is None:
            return True
        if elapsed < self._due:
            return False
        late = elapsed - self._due >= self._step
        self._due = (elapsed if late else self._due) + self._step
        return True
