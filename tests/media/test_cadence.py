"""Which frames are searched, and what all cameras' share of them is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from streamproc.config import CaptureSettings
from streamproc.media.cadence import Cadence, Rates
from streamproc.media.motion import MotionGate
from streamproc.media.share import LEAST, FairShare, Overload
from streamproc.types import Image

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
EMPTY = np.full((90, 160), 100, np.uint8)
SETTINGS = CaptureSettings()


def walk(at: float) -> Image:
    """Somebody who is elsewhere each time."""
    picture = EMPTY.copy()
    left = int(at * 30) % 140
    picture[30:60, left : left + 15] = 200
    return picture


def chosen(
    cadence: Cadence,
    seconds: float,
    moves: Callable[[float], bool] = lambda at: False,
    face: Callable[[float], bool] = lambda at: False,
    share: float = 1.0,
    rate: float = 6.0,
) -> list[float]:
    """Seconds of the frames that are searched, of `rate` due ones a second."""
    kept = []
    for frame in range(round(seconds * rate)):
        at = frame / rate
        luma = walk(at) if moves(at) else EMPTY
        if cadence.wants(luma, START + timedelta(seconds=round(at, 6)), share, face(at)):
            kept.append(at)
    return kept


def live(settings: CaptureSettings = SETTINGS) -> Cadence:
    return Cadence(Rates.live(settings), MotionGate() if settings.motion else None)


def between(kept: list[float], begin: float, end: float) -> int:
    return sum(begin <= at < end for at in kept)


def test_a_cameras_rates_follow_what_is_in_view() -> None:
    kept = chosen(live(), 60, lambda at: 20 <= at < 40, lambda at: 30 <= at < 50)
    assert kept[0] == 0
    assert 8 <= between(kept, 2, 18) <= 9, "half a frame a second while nothing moves"
    assert between(kept, 20, 20.1) == 1, "at once when something does"
    assert 29 <= between(kept, 20, 30) <= 31
    assert between(kept, 30, 40) == 60
    assert 15 <= between(kept, 41.2, 49.2) <= 17, "who stands still stays the same track"
    assert between(kept, 52, 60) <= 5


def test_who_hurries_across_is_looked_at_often_enough() -> None:
    """1280 px at 600 px/s, found at the first look: three are needed for a track."""
    looks = chosen(live(), 30, lambda at: 20 <= at < 22.1)
    assert between(looks, 20, 22.1) >= 6


def test_all_rates_are_lowered_alike() -> None:
    for share in (0.5, 0.25):
        searching = chosen(live(), 100, lambda at: True, share=share)
        idle = chosen(live(), 100, share=share)
        following = chosen(live(), 100, lambda at: True, lambda at: True, share=share)
        assert len(searching) == pytest.approx(300 * share, abs=4)
        assert len(idle) == pytest.approx(50 * share, abs=6)
        assert len(following) == pytest.approx(600 * share, abs=4)


def test_a_track_is_kept_together_however_busy_detection_is() -> None:
    kept = chosen(live(), 60, lambda at: at > 30, lambda at: True, share=LEAST)
    assert max(later - before for before, later in pairwise(kept)) < 1.0


def test_a_files_frames() -> None:
    kept = chosen(Cadence(Rates.file(SETTINGS), MotionGate()), 30, lambda at: 10 <= at < 15)
    assert between(kept, 10, 15) == 30
    assert 12 <= between(kept, 2, 8.1) <= 13
    assert max(later - before for before, later in pairwise(kept)) <= 0.51
    again = chosen(Cadence(Rates.file(SETTINGS), MotionGate()), 30, lambda at: 10 <= at < 15)
    assert again == kept


def test_it_can_be_turned_off() -> None:
    settings = CaptureSettings(motion=False)
    assert len(chosen(live(settings), 20)) == 120
    assert len(chosen(Cadence(Rates.file(settings), None), 20)) == 120


def test_uneven_frames_are_not_missed() -> None:
    """A camera of 15 frames a second, of which 6 are due: they come 0.133 and 0.2 s apart."""
    cadence, kept = live(), 0
    times = [round(n * 2.5) / 15 for n in range(600)]
    for at in times:
        kept += cadence.wants(walk(at), START + timedelta(seconds=at), 1.0, True)
    assert kept >= 595


def test_a_clock_that_goes_back_stops_nothing() -> None:
    cadence = live()
    for second in (100, 50):
        looks = [cadence.wants(walk(n), START + timedelta(seconds=second + n / 6), 1.0, True) for n in range(60)]
        assert sum(looks) > 50


class Line:
    """A detector that searches so many frames a second, and cameras who would like `wish` in all."""

    def __init__(self, able: float) -> None:
        self.able, self.waiting, self.fair, self.now = able, 0.0, FairShare(), 0.0
        self.shares: list[float] = []

    def run(self, seconds: float, wish: float) -> None:
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.waiting = min(max(0.0, self.waiting + 0.1 * (wish * self.fair.share - self.able)), self.able)
            self.fair.waited(self.waiting / self.able)
            self.fair.settle(self.now)
            self.shares.append(self.fair.share)


def test_the_share_settles_where_the_work_can_be_done() -> None:
    line = Line(10)
    line.run(60, 8)
    assert line.fair.share == 1.0
    line.run(120, 30)
    assert np.mean(line.shares[-600:]) == pytest.approx(1 / 3, abs=0.06)
    line.run(60, 8)
    assert line.fair.share == 1.0
    line.run(120, 10_000)
    assert line.fair.share >= LEAST


def test_frames_that_found_no_room_lower_the_share_too() -> None:
    fair = FairShare()
    assert not fair.settle(0.0)
    fair.waited(0.1, missed=3)
    assert not fair.settle(0.5)
    assert fair.settle(1.0)
    assert fair.share == pytest.approx(0.8)
    fair.waited(0.1)
    assert fair.settle(2.0)
    assert fair.share > 0.8


def test_an_overload_is_told_once_and_a_hiccup_is_not() -> None:
    overload = Overload()
    shares = [(0.0, 1.0), (1.0, 0.8), (3.0, 0.95), (10.0, 0.64), (12.0, 0.41), (15.5, 0.33), (20.0, 0.3), (30.0, 0.95)]
    said = [overload.news(share, at) for at, share in [*shares, (40.0, 1.0), (41.0, 1.0)]]
    assert [at for (at, _), news in zip(shares, said, strict=False) if news] == [15.5]
    assert said[5] == "Detection is overloaded: every camera is searched at 33 % of its rate."
    assert said[8] == "Detection keeps up again: every camera is searched at its full rate."
    assert sum(news is not None for news in said) == 2
