"""Exact time: clocks that jump, frames without timestamps, the grid of due times."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproc.media.timing import RateGate, StreamClock

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
