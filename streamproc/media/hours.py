"""Recording hours: on which days, from when to when by the clock on the wall, a camera records."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from streamproc.errors import ConfigError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"(?:(?P<days>[a-z, -]+?)\s+)?(?P<begin>\d\d?:\d\d)\s*-\s*(?P<end>\d\d?:\d\d)")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """From `begin` on and before `end`, on the days, 0 for Monday, on which it begins.

    Both count from that day's midnight; an `end` of more than 24 hours is on the day after.
    """

    days: frozenset[int]
    begin: timedelta
    end: timedelta


@dataclass(frozen=True, slots=True)
class Hours:
    """When a camera records; without spans always."""

    spans: tuple[Span, ...]
    zone: ZoneInfo

    def open_at(self, when: datetime) -> bool:
        """Whether the camera records at `when`, a time with a zone.

        The clock on the wall counts. A span over the night belongs to the day on which it begins. In the hour that
        clocks show twice a span begins the first time and ends the second; one that begins in the hour that they leave
        out begins as they do.
        """
        wall = when.astimezone(self.zone).replace(tzinfo=None)
        return not self.spans or any(
            (wall.weekday() - ago) % 7 in span.days and self._within(span, wall.date() - ago * _DAY, wall, when)
            for span in self.spans
            for ago in (0, 1)
        )

    def _within(self, span: Span, day: date, wall: datetime, when: datetime) -> bool:
        begin, end = (datetime.combine(day, time()) + of for of in (span.begin, span.end))
        first = begin.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
        last = end.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        return begin <= wall < end or first <= when < last


ALWAYS = Hours((), ZoneInfo("UTC"))


def parse_hours(texts: Sequence[str], zone: ZoneInfo, owner: str) -> Hours:
    """The hours that texts such as "mon-fri 07:00-19:00", "sat,sun 22:00-02:00" or "08:00-24:00" mean in `zone`.

    Raises ConfigError, which speaks of the hours of `owner`.
    """
    return Hours(tuple(_span(text, owner) for text in texts), zone)


def named_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name; raises ConfigError."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ConfigError(f"There is no time zone '{name}': write an IANA name such as Europe/London.") from error


def _span(text: str, owner: str) -> Span:
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise ConfigError(f"The hours '{text}' of {owner} cannot be read: write them like 'mon-fri 07:00-19:00'.")
    begin, end = (_moment(found[part], text, owner) for part in ("begin", "end"))
    if begin in (end, _DAY):
        raise ConfigError(f"The hours '{text}' of {owner} have no length: all day is '00:00-24:00'.")
    return Span(_days(found["days"], text, owner), begin, end if end > begin else end + _DAY)


def _moment(text: str, whole: str, owner: str) -> timedelta:
    hours, minutes = (int(part) for part in text.split(":"))
    if minutes > 59 or hours * 60 + minutes > 24 * 60:
        raise ConfigError(f"The hours '{whole}' of {owner} speak of {text}, and a day ends at 24:00.")
    return timedelta(hours=hours, minutes=minutes)


def _days(text: str | None, whole: str, owner: str) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        names = [name.strip() for name in part.split("-")]
        if unknown := [name for name in names if name not in DAYS]:
            raise ConfigError(f"The hours '{whole}' of {owner} speak of '{unknown[0]}': days are {', '.join(DAYS)}.")
        if len(names) > 2:
            raise ConfigError(f"The hours '{whole}' of {owner} have several dashes between days: write 'mon-fri'.")
        first, last = DAYS.index(names[0]), DAYS.index(names[-1])
        days.update((first + step) % 7 for step in range((last - first) % 7 + 1))
    return frozenset(days)
