"""Gaps in words and in documents, the same in every command and on the report's page."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from streamproc.query.gaps import Blindness, length_within
from streamproc.types import GapRecord

MOST_LINES = 10
"""Gaps that are told one by one, the longest; a camera that comes and goes has hundreds."""
MOST_CAMERAS = 3
"""Cameras that are named in one sentence, the blindest."""


def gap_lines(gaps: Sequence[GapRecord], since: datetime | None, until: datetime | None, now: datetime) -> list[str]:
    """The gaps for people, as they began, one a line; of many the longest, and a line for the others.

    What counts for a gap's length, also in the last line, is its part in since <= time < until, and before `now`. A gap
    that ended as it began is left out: no video is missing for it.
    """
    gaps = [gap for gap in gaps if gap.ended_at != gap.began_at]
    end = asked_end(until, now)
    lengths = {gap.id: length_within(gap, since, end) for gap in gaps}
    longest = sorted(gaps, key=lambda gap: -lengths[gap.id])[:MOST_LINES]
    told = {gap.id for gap in longest}
    lines = [gap_sentence(gap, now) for gap in gaps if gap.id in told]
    if more := [gap for gap in gaps if gap.id not in told]:
        total = sum((lengths[gap.id] for gap in more), timedelta())
        lines.append(f"and {len(more)} more, {duration(total)} in all")
    return lines


def gap_sentence(gap: GapRecord, now: datetime) -> str:
    """Which camera has no video from when to when, and why; the date is left out where all is of today."""
    begin = gap.began_at.astimezone(UTC)
    end = None if gap.ended_at is None else _second_after(gap.ended_at.astimezone(UTC))
    days = {begin.date(), now.astimezone(UTC).date() if end is None else end.date(), now.astimezone(UTC).date()}
    form = "%H:%M:%S" if begin.second or (end is not None and end.second) else "%H:%M"
    first = begin.strftime(form if len(days) == 1 else f"%Y-%m-%d {form}")
    reason = gap.reason.value.replace("_", " ")
    if end is None:
        return f"camera {gap.camera} has had no video since {first} UTC ({reason})"
    last = end.strftime(form if end.date() == begin.date() else f"%Y-%m-%d {form}")
    return f"camera {gap.camera} has no video from {first} to {last} UTC ({reason})"


def blind_clause(blind: Sequence[Blindness]) -> str:
    """What a "no match" leaves open, to follow it after a comma; empty where every camera saw all the time."""
    if not blind:
        return ""
    named = [f"camera {one.camera} was blind for {duration(one.length)}" for one in blind[:MOST_CAMERAS]]
    others = len(blind) - len(named)
    if others:
        named.append(f"{others} other camera{'' if others == 1 else 's'} for less")
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    return f"but {listed} of the time asked"


def gap_documents(gaps: Sequence[GapRecord]) -> list[dict[str, object]]:
    """The gaps for programs; `to` is null while a gap lasts."""
    return [
        {
            "camera": gap.camera,
            "from": gap.began_at,
            "to": gap.ended_at,
            "reason": gap.reason,
            "detail": gap.detail,
        }
        for gap in gaps
    ]


def asked_end(until: datetime | None, now: datetime) -> datetime:
    """The end of the time asked about: nobody can have been seen after `now`."""
    return now if until is None else min(until, now)


def duration(length: timedelta) -> str:
    """A length of time for people: "40 seconds", "7 minutes", "3 h 20 min", "2 d 4 h"."""
    seconds = round(length / timedelta(seconds=1))
    if seconds < 60:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    minutes = round(length / timedelta(minutes=1))
    if minutes < 60:
        return f"{minutes} minute{'' if minutes == 1 else 's'}"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(length / timedelta(hours=1))
    return f"{hours // 24} d {hours % 24} h"


def _second_after(time: datetime) -> datetime:
    """The full second at or after `time`: what is said of a gap covers it."""
    return time if not time.microsecond else time.replace(microsecond=0) + timedelta(seconds=1)
