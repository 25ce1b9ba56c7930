"""Exact time: clocks that jump, frames without timestamps, the grid of due times."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproc.media.timing import RateGate, StreamClock
from streamproc.types import Clock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
BASE = Fraction(1, 90_000)


def test_time_counts_from_the_first_frame_whatever_its_timestamp() -> None:
    clock = StreamClock(START)
    first = clock.stamp(900_000, BASE, 3600)
    second = clock.stamp(903_003, BASE, 3600)
    assert first.captured_at == START
    assert second.seconds - first.seconds == Fraction(3003, 90_000)
    assert second.captured_at == START + timedelta(microseconds=33_367)
    assert (second.epoch, second.pts, second.time_base) == (0, 903_003, BASE)


def test_frames_without_timestamps_follow_at_the_interval() -> None:
    clock = StreamClock(START, Fraction(1, 10))
    times = [clock.stamp(pts, BASE, None) for pts in (None, None, 27_000, None)]
    assert [time.pts for time in times] == [0, 9_000, 27_000, 36_000]
    assert clock.elapsed == Fraction(4, 10)


def test_a_frame_that_says_how_long_it_lasts_is_believed() -> None:
    clock = StreamClock(START, Fraction(1, 10))
    clock.stamp(0, BASE, 4_500)
    assert clock.stamp(None, BASE, 4_500).pts == 4_500


def test_a_timestamp_that_goes_backwards_begins_an_epoch_one_interval_later() -> None:
    clock = StreamClock(START, Fraction(1, 25))
    clock.stamp(90_000, BASE, None)
    clock.stamp(180_000, BASE, None)
    again = clock.stamp(0, BASE, None)
    assert again.epoch == 1
    assert again.captured_at == START + timedelta(seconds=1.04)
    assert clock.stamp(90_000, BASE, None).captured_at == START + timedelta(seconds=2.04)


def test_a_jump_ahead_begins_an_epoch_unless_the_container_covers_it() -> None:
    ahead = 90_000 * 3600
    free, covered = StreamClock(START), StreamClock(START, stated=Fraction(4000))
    for clock in (free, covered):
        clock.stamp(0, BASE, None)
    assert free.stamp(ahead, BASE, None).epoch == 1
    assert free.elapsed < 1
    assert covered.stamp(ahead, BASE, None).epoch == 0
    assert covered.elapsed == 3600


def test_a_live_stream_goes_on_where_the_wall_clock_is() -> None:
    clock = StreamClock(START, now=lambda: START + timedelta(minutes=5))
    clock.stamp(500_000, BASE, None)
    assert clock.stamp(0, BASE, None).captured_at == START + timedelta(minutes=5)


class Wall:
    """A wall clock that is set by hand, and a live stream's clock on it; seconds since START."""

    def __init__(self) -> None:
        self.now = 0.0
        self.clock = StreamClock(START, Fraction(1, 10), now=lambda: START + timedelta(seconds=self.now))

    def frame(self, stream: float, arrives: float, sender: float | None = None) -> float:
        """When the frame was captured that is `stream` seconds into it; `sender`: when that began, as it says."""
        self.now = arrives
        told = None if sender is None else Fraction(START.timestamp() + sender)
        captured = self.clock.stamp(round(stream * 90_000), BASE, None, told).captured_at
        return (captured - START).total_seconds()

    def told(self) -> Clock:
        """What told the last frame's time."""
        return self.clock.clock


def test_frames_that_waited_for_the_opening_are_put_right() -> None:
    """Twenty frames of two seconds come at once, the others as they are captured: half as fast until it is right."""
    wall = Wall()
    waited = [wall.frame(index / 10, 0.0) for index in range(20)]
    assert waited[0] == 0.0
    later = [wall.frame(index / 10, index / 10 - 1.9) for index in range(20, 60)]
    assert later[-1] == pytest.approx(4.0, abs=0.01)
    times = waited + later
    assert all(earlier < after for earlier, after in pairwise(times))
    assert wall.told() is Clock.ARRIVAL


def test_the_first_frame_takes_the_senders_time_where_it_is_known() -> None:
    wall = Wall()
    assert wall.frame(0.0, 0.0, -2.0) == -2.0
    assert wall.told() is Clock.SENDER


def test_from_arrival_to_the_sender_time_slows_down_and_never_goes_back() -> None:
    wall = Wall()
    times = [wall.frame(index / 10, index / 10) for index in range(10)]
    assert wall.told() is Clock.ARRIVAL
    times += [wall.frame(index / 10, index / 10, -2.0) for index in range(10, 60)]
    assert wall.told() is Clock.SENDER
    steps = [after - earlier for earlier, after in pairwise(times)]
    assert steps[9] == pytest.approx(0.05)
    assert steps[-1] == pytest.approx(0.1)
    assert times[-1] == pytest.approx(5.9 - 2.0)


@pytest.mark.parametrize("off", [-3600.0, 3600.0, -5.0, 5.0])
def test_a_senders_clock_that_is_plainly_wrong_is_not_taken(off: float) -> None:
    wall = Wall()
    times = [wall.frame(index / 10, index / 10, off) for index in range(10)]
    assert times == pytest.approx([index / 10 for index in range(10)])
    assert wall.told() is Clock.ARRIVAL
    assert float(wall.clock.astray) == off


def test_a_sender_whose_clock_is_set_is_believed_again() -> None:
    wall = Wall()
    times = [wall.frame(index / 10, index / 10, -0.1 if index < 10 or index >= 20 else 7200.0) for index in range(40)]
    assert wall.told() is Clock.SENDER
    assert all(earlier < after for earlier, after in pairwise(times))
    assert times[-1] == pytest.approx(3.8)


@pytest.mark.parametrize("sender", [None, 0.0])
def test_a_stream_that_falls_behind_is_not_taken_for_a_wrong_clock(sender: float | None) -> None:
    wall = Wall()
    for index in range(10):
        wall.frame(index / 10, index / 10, sender)
    assert wall.frame(1.0, 9.0, sender) == pytest.approx(1.0)
    assert wall.told() is (Clock.ARRIVAL if sender is None else Clock.SENDER)


def test_a_new_epoch_of_a_corrected_stream_is_at_the_time_of_day() -> None:
    wall = Wall()
    for index in range(40):
        wall.frame(1000 + index / 10, index / 10, -1001.0)
    assert wall.frame(0.0, 60.0) == pytest.approx(60.0)
    assert wall.clock.elapsed > 60


@given(
    st.lists(st.tuples(st.floats(-0.5, 40), st.floats(0, 3), st.none() | st.floats(-20, 20)), min_size=2, max_size=60)
)
def test_live_time_never_goes_back(steps: list[tuple[float, float, float | None]]) -> None:
    wall, stream, now, last = Wall(), 100.0, 0.0, -100.0
    for ahead, passed, sender in steps:
        stream, now = stream + ahead, now + passed
        captured = wall.frame(stream, now, None if sender is None else sender - 100)
        assert captured >= last
        last = captured


def test_thirty_thin_to_ten_as_every_third() -> None:
    gate = RateGate(10)
    given_frames = [index for index in range(30) if gate.wants(Fraction(index, 30))]
    assert given_frames == list(range(0, 30, 3))


def test_a_gap_is_not_made_up_for() -> None:
    gate = RateGate(10)
    assert gate.wants(Fraction(0))
    after = [Fraction(5) + Fraction(index, 100) for index in range(25)]
    assert [time for time in after if gate.wants(time)] == [Fraction(5), Fraction(51, 10), Fraction(52, 10)]


@given(
    st.lists(st.fractions(0, 20, max_denominator=1000), min_size=1, max_size=200),
    st.floats(0.5, 60).map(lambda rate: round(rate, 2)),
)
def test_never_more_than_asked_for(times: list[Fraction], rate: float) -> None:
    times.sort()
    gate = RateGate(rate)
    count = sum(gate.wants(time) for time in times)
    assert 1 <= count <= times[-1] * Fraction(rate).limit_denominator(1000) + 1


def test_all_frames_where_no_rate_is_asked_for() -> None:
    gate = RateGate(None)
    assert all(gate.wants(Fraction(0)) for _ in range(5))
    with pytest.raises(ValueError, match="above 0"):
        RateGate(0)
