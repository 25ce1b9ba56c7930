"""Recording hours: days and times as people write them, over midnight, over changes of the clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from streamproc.errors import ConfigError
from streamproc.media.hours import Hours, named_zone, parse_hours

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")


def hours(*texts: str, zone: ZoneInfo = BERLIN) -> Hours:
    return parse_hours(texts, zone, "camera 'gate'")


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def changes(asked: Hours, first: str, minutes: int) -> list[str]:
    """The wall clock, with its offset, at each minute at which the answer is another than a minute before."""
    begin = datetime.fromisoformat(first).astimezone(UTC)
    moments = [begin + timedelta(minutes=k) for k in range(minutes)]
    states = [asked.open_at(moment) for moment in moments]
    return [
        f"{'open' if state else 'closed'} {moment.astimezone(asked.zone):%a %H:%M %z}"
        for moment, state, before in zip(moments[1:], states[1:], states, strict=False)
        if state != before
    ]


# 2026-11-02 is a Monday.
@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("mon-fri 07:00-19:00", ["2026-11-02T07:00", "2026-11-06T18:59"], ["2026-11-02T06:59", "2026-11-06T19:00"]),
        ("mon-fri 07:00-19:00", ["2026-11-04T12:00"], ["2026-11-07T12:00", "2026-11-08T12:00"]),
        ("sat 22:00-02:00", ["2026-11-07T22:00", "2026-11-08T01:59"], ["2026-11-08T02:00", "2026-11-07T01:00"]),
        ("sun 22:00-02:00", ["2026-11-08T23:00", "2026-11-09T01:00"], ["2026-11-08T01:00", "2026-11-10T01:00"]),
        ("fri-mon 8:00-9:00", ["2026-11-06T08:30", "2026-11-08T08:30", "2026-11-09T08:30"], ["2026-11-10T08:30"]),
        ("Mon, Wed 00:00-24:00", ["2026-11-02T00:00", "2026-11-04T23:59"], ["2026-11-03T00:00", "2026-11-05T00:00"]),
        ("20:00-00:00", ["2026-11-03T23:59"], ["2026-11-03T00:00", "2026-11-03T19:59"]),
    ],
)
def test_days_and_times(text: str, inside: list[str], outside: list[str]) -> None:
    assert [hours(text).open_at(at(time)) for time in inside] == [True] * len(inside)
    assert [hours(text).open_at(at(time)) for time in outside] == [False] * len(outside)


def test_several_spans_and_none() -> None:
    both = hours("mon-fri 07:00-19:00", "sat 22:00-02:00")
    assert both.open_at(at("2026-11-02T08:00"))
    assert both.open_at(at("2026-11-08T01:00"))
    assert not both.open_at(at("2026-11-08T08:00"))
    assert hours().open_at(at("2026-11-08T08:00"))


def test_the_camera_s_zone_counts_not_that_of_the_time() -> None:
    asked = hours("07:00-19:00", zone=NEW_YORK)
    assert not asked.open_at(datetime(2026, 11, 3, 11, 59, tzinfo=UTC))
    assert asked.open_at(datetime(2026, 11, 3, 12, 0, tzinfo=UTC))
    assert asked.open_at(datetime(2026, 11, 3, 13, 0, tzinfo=BERLIN))


def test_clocks_that_go_back_leave_one_span_whole() -> None:
    """In Berlin 03:00 is 02:00 again on 2026-10-25: the night is an hour longer, and nothing opens twice."""
    night = "2026-10-24T18:00+02:00"
    for text, first, last in [
        ("22:00-02:30", "open Sat 22:00 +0200", "closed Sun 02:30 +0100"),
        ("02:30-05:00", "open Sun 02:30 +0200", "closed Sun 05:00 +0100"),
        ("01:00-02:10", "open Sun 01:00 +0200", "closed Sun 02:10 +0100"),
    ]:
        assert changes(hours(text), night, 15 * 60) == [first, last]


def test_clocks_that_go_forward_leave_out_what_they_leave_out() -> None:
    """In Berlin 02:00 is 03:00 on 2026-03-29."""
    night = "2026-03-28T18:00+01:00"
    for text, first, last in [
        ("22:00-02:30", "open Sat 22:00 +0100", "closed Sun 03:00 +0200"),
        ("02:30-05:00", "open Sun 03:00 +0200", "closed Sun 05:00 +0200"),
        ("22:00-04:00", "open Sat 22:00 +0100", "closed Sun 04:00 +0200"),
    ]:
        assert changes(hours(text), night, 15 * 60) == [first, last]
    assert changes(hours("02:10-02:50"), night, 15 * 60) == []


def test_a_week_has_the_hours_that_it_says() -> None:
    asked = hours("mon-fri 07:00-19:00", "sat 22:00-02:00")
    first = at("2026-11-02T00:00")
    open_minutes = sum(asked.open_at(first + timedelta(minutes=k)) for k in range(7 * 24 * 60))
    assert open_minutes == (5 * 12 + 4) * 60


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("always", "'always' of camera 'gate' cannot be read: write them like"),
        ("mon-fri 7-19", "cannot be read"),
        ("mon-fry 07:00-19:00", "speak of 'fry': days are mon, tue"),
        ("mon-tue-wed 07:00-19:00", "several dashes"),
        ("mon, 07:00-19:00", "speak of ''"),
        ("mon 07:60-19:00", "speak of 07:60"),
        ("mon 07:00-24:01", "a day ends at 24:00"),
        ("mon 07:00-07:00", "have no length"),
        ("mon 24:00-07:00", "have no length"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        hours(text)


@pytest.mark.parametrize("name", ["Europe/Berln", "../etc/passwd", "", "/etc/localtime"])
def test_zones_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError, match=f"no time zone '{name}'"):
        named_zone(name)
